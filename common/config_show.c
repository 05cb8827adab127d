#include "common/config_table.h"

const char *listen_kind_name(enum listen_kind k)
{
    static const char *const names[LISTEN_KINDS] = {
        [LISTEN_SMTP] = "smtp",
        [LISTEN_SUBMISSION] = "submission",
        [LISTEN_SUBMISSIONS] = "submissions",
        [LISTEN_POP3] = "pop3",
        [LISTEN_POP3S] = "pop3s",
        [LISTEN_LMTP] = "lmtp",
        [LISTEN_SUBMIT] = "submit",
        [LISTEN_CONTROL] = "control",
    };
    return (unsigned)k < LISTEN_KINDS ? names[k] : "?";
}

/* "", "auth", "listen smtp", "route example.com". */
static void section_label(const struct config *c, const struct place *at, char *out, size_t cap)
{
    const char *word = config_sections[at->section].word, *name = "";
    if (at->section == SECTION_LISTEN)
        name = listen_kind_name(c->listens[at->instance].kind);
    else if (at->section == SECTION_TLS)
        name = c->tls[at->instance].name;
    else if (at->section == SECTION_ROUTE)
        name = c->routes[at->instance].domain;
    snprintf(out, cap, "%s%s%s", word, *name ? " " : "", name);
}

void config_show(const struct config *c, config_show_fn *fn, void *arg)
{
    struct config shallow = *c; /* the walk hands out places to write to; these are only read */
    struct place at;
    for (struct walk w = {0}; walk_next(&w, &shallow, &at);) {
        if (at.is_override && c->lines[at.number] == 0)
            continue;
        char label[300];
        struct buf value;
        buf_init(&value, SIZE_MAX / 2);
        section_label(c, &at, label, sizeof label);
        if (value_format(&at, &value) == 0 && buf_add(&value, "", 1) == 0)
            fn(arg, label, at.setting->key, buf_span(&value).p, c->lines[at.number]);
        buf_free(&value);
    }
}

void config_doc(config_doc_fn *fn, void *arg)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct setting *s = &config_settings[i];
        struct buf type;
        buf_init(&type, 1000);
        if (value_describe(s, &type) == 0 && buf_add(&type, "", 1) == 0)
            fn(arg, config_sections[s->section].word, s->key, buf_span(&type).p,
               s->fallback ? s->fallback : s->fallback_words, s->meaning);
        buf_free(&type);
    }
}

char *config_child_text(const struct config *c, struct span text, size_t *n)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    if (span_starts(text, SPAN("\xef\xbb\xbf")))
        text = span_from(text, 3);
    int rc = 0;
    if (config_line(c, SECTION_GLOBAL, "hostname") == 0)
        rc |= buf_addf(&b, "hostname = %s\n", c->hostname);
    if (config_line(c, SECTION_GLOBAL, "workers") == 0)
        rc |= buf_addf(&b, "workers = %llu\n", (unsigned long long)c->workers);
    rc |= buf_add_span(&b, text);
    *n = b.end - b.at;
    if (rc < 0 || buf_add(&b, "", 1) < 0) {
        buf_free(&b);
        return NULL;
    }
    return b.p; /* nothing was consumed: it starts at its allocation */
}

const struct listen_config *config_listen(const struct config *c, size_t section)
{
    if (section == SECTION_OF_SUBMIT)
        return &c->submit_listen;
    return section < c->n_listens ? &c->listens[section] : NULL;
}

bool config_may_log_in_plain(const struct auth_config *auth, const struct netaddr *peer)
{
    return auth->plaintext_without_tls == PLAINTEXT_YES ||
           (auth->plaintext_without_tls == PLAINTEXT_LOOPBACK && netaddr_is_loopback(peer));
}

bool config_may_relay(const struct config *c, const struct netaddr *peer)
{
    return networks_have(c->relay.allow_from, c->relay.n_allow_from, peer);
}
