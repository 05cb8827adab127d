#include "policy/post.h"

#include "common/tlsrpt.h"
#include "common/verdict.h"
#include "policy/https.h"

#include <stdlib.h>

#define POSTS_MAX 8

struct post {
    struct post *next;
    struct posts *all;
    struct ipc *from;
    uint64_t tag;
    struct https *https;
};

static void answer(struct ipc *to, uint64_t tag, enum verdict v, const char *because)
{
    struct msg_tls_post_re re = {
        .tag = tag, .verdict = (uint8_t)v, .because = span_of(because != NULL ? because : "")};
    ipc_send_tls_post_re(to, &re, -1);
}

/* Before anybody is answered, who may be gone then. */
static void remove_post(struct post *post)
{
    struct post **at = &post->all->first;
    while (*at != post)
        at = &(*at)->next;
    *at = post->next;
    post->all->n--;
    free(post);
}

static void on_answer(void *arg, const struct http *http, const struct https_fault *fault)
{
    struct post *post = arg;
    struct ipc *from = post->from;
    uint64_t tag = post->tag;
    remove_post(post);
    answer(from, tag, http != NULL ? VERDICT_OK : VERDICT_TRY_LATER, fault->why);
}

/* -1: it is no URL that is posted to, or could not begin. */
static int begin(struct post *post, const struct msg_tls_post *m)
{
    struct posts *all = post->all;
    struct tlsrpt_url url;
    char head[2 * RUA_URL_MAX + 256], port[16] = "";
    if (tlsrpt_read_url(m->url, &url) < 0 || all->tls == NULL)
        return -1;
    if (url.port != 0)
        snprintf(port, sizeof port, ":%u", url.port);
    int n = snprintf(head, sizeof head,
                     "POST %s%.*s HTTP/1.1\r\nHost: %.*s%s\r\n"
                     "Content-Type: application/tlsrpt+gzip\r\nContent-Length: %zu\r\n"
                     "User-Agent: barid\r\nConnection: close\r\n\r\n",
                     url.path.n == 0 || url.path.p[0] != '/' ? "/" : "", (int)url.path.n,
                     url.path.p, (int)url.host.n, url.host.p, port, m->report.n);
    uint16_t usual = proc_config(all->proc)->relay.mta_sts_port;
    struct https_params params = {.proc = all->proc,
                                  .tls = all->tls,
                                  .host = url.host,
                                  .port = url.port != 0 ? url.port : usual,
                                  .head = {head, n > 0 ? (size_t)n : 0},
                                  .body = m->report,
                                  .wants = HTTP_SUCCESS,
                                  .is_public = true};
    if (n > 0 && (size_t)n < sizeof head)
        post->https = https_begin(&params, on_answer, post);
    return post->https != NULL ? 0 : -1;
}

void post_begin(struct posts *p, struct ipc *from, const struct msg_tls_post *m)
{
    struct post *post = p->n < POSTS_MAX ? calloc(1, sizeof *post) : NULL;
    if (post == NULL) {
        answer(from, m->tag, VERDICT_TRY_LATER, "too many reports at a time");
        return;
    }
    *post = (struct post){.next = p->first, .all = p, .from = from, .tag = m->tag};
    p->first = post;
    p->n++;
    if (begin(post, m) == 0)
        return;
    remove_post(post);
    answer(from, m->tag, VERDICT_TRY_LATER, "it cannot be posted now");
}

void posts_forget(struct posts *p, const struct ipc *from)
{
    for (struct post *post = p->first, *next; post != NULL; post = next) {
        next = post->next;
        if (post->from == from) {
            https_cancel(post->https);
            remove_post(post);
        }
    }
}

void posts_set_tls(struct posts *p, struct tls_client *tls)
{
    tls_client_free(p->tls);
    p->tls = tls;
}
