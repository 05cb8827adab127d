#include "policy/fetch.h"

#include "policy/https.h"

#define HOST "mta-sts."

struct fetch {
    fetch_done_fn *done;
    void *arg;
    struct https *https;
};

static void on_answer(void *arg, const struct http *answer, const struct https_fault *https)
{
    static struct sts_policy policy;
    struct fetch *f = arg;
    fetch_done_fn *done = f->done;
    void *owner = f->arg;
    struct fetch_fault fault = {
        .why = https->why, .result = https->is_unverified ? TLSRPT_STS_WEBPKI : TLSRPT_STS_FETCH};
    free(f);
    if (answer != NULL)
        fault = (struct fetch_fault){.why = sts_parse(buf_span(&answer->body), &policy),
                                     .result = TLSRPT_STS_INVALID};
    done(owner, fault.why == NULL ? &policy : NULL, &fault);
}

struct fetch *fetch_begin(const struct fetch_params *params, fetch_done_fn *done, void *arg)
{
    char host[DOMAIN_MAX + 1], request[DOMAIN_MAX + 256];
    size_t prefix = sizeof HOST - 1;
    struct fetch *f = calloc(1, sizeof *f);
    if (f == NULL || params->domain.n + prefix > DOMAIN_MAX) {
        free(f);
        return NULL;
    }
    *f = (struct fetch){.done = done, .arg = arg};
    memcpy(host, HOST, prefix);
    memcpy(host + prefix, params->domain.p, params->domain.n);
    host[prefix + params->domain.n] = '\0';
    snprintf(request, sizeof request,
             "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: %s\r\n"
             "Accept: text/plain\r\nUser-Agent: barid\r\nConnection: close\r\n\r\n",
             host);
    struct https_params https = {.proc = params->proc,
                                 .tls = params->tls,
                                 .host = span_of(host),
                                 .port = proc_config(params->proc)->relay.mta_sts_port,
                                 .head = span_of(request),
                                 .wants = HTTP_TEXT};
    f->https = https_begin(&https, on_answer, f);
    if (f->https != NULL)
        return f;
    free(f);
    return NULL;
}

void fetch_cancel(struct fetch *f)
{
    if (f == NULL)
        return;
    https_cancel(f->https);
    free(f);
}
