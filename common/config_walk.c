/* Over all places where values of settings are kept. */
#include "common/config_table.h"

static size_t instances(const struct config *c, enum section_kind section)
{
    switch (section) {
    case SECTION_LISTEN:
        return c->n_listens;
    case SECTION_TLS:
        return c->n_tls;
    case SECTION_ROUTE:
        return c->n_routes;
    default:
        return 1;
    }
}

/* The struct that a setting's offset counts from. */
static void *base_of(struct config *c, enum section_kind section, size_t instance,
                     const struct setting *s)
{
    struct listen_config *l = section == SECTION_LISTEN ? &c->listens[instance] : NULL;
    if (s->is_delivery)
        return section == SECTION_ROUTE ? &c->routes[instance].delivery : &c->relay.delivery;
    switch (s->section) {
    case SECTION_AUTH:
        return l != NULL ? &l->auth : &c->auth;
    case SECTION_LIMITS:
        return l != NULL ? &l->limits : &c->limits;
    case SECTION_SUBMIT:
        return &c->submit;
    case SECTION_MAILBOX:
        return &c->mailbox;
    case SECTION_POP3:
        return &c->pop3;
    case SECTION_PAM:
        return &c->pam;
    case SECTION_CONTAINMENT:
        return &c->containment;
    case SECTION_RELAY:
        return &c->relay;
    case SECTION_DNS:
        return &c->dns;
    case SECTION_LISTEN:
        return l;
    case SECTION_TLS:
        return &c->tls[instance];
    case SECTION_ROUTE:
        return &c->routes[instance];
    default:
        return c;
    }
}

static bool is_list(enum value_type t)
{
    return t == VALUE_DURATIONS || t == VALUE_LISTEN || t == VALUE_SERVERS || t == VALUE_NETWORKS ||
           t == VALUE_URLS;
}

struct place config_place(struct config *c, enum section_kind section, size_t instance,
                          const struct setting *s)
{
    char *base = base_of(c, section, instance, s);
    return (struct place){
        .setting = s,
        .section = section,
        .instance = instance,
        .value = base + s->offset,
        .n = is_list(s->type) ? (size_t *)(void *)(base + s->offset_n) : NULL,
        .is_override = s->section != section,
    };
}

bool walk_next(struct walk *w, struct config *c, struct place *at)
{
    for (; w->section < SECTION_KINDS; w->section++, w->instance = 0)
        for (; w->instance < instances(c, w->section); w->instance++, w->row = 0)
            while (w->row < config_n_settings) {
                const struct setting *s = &config_settings[w->row++];
                if (!config_setting_fits(s, w->section))
                    continue;
                *at = config_place(c, w->section, w->instance, s);
                at->number = w->number++;
                return true;
            }
    return false;
}

size_t config_line(const struct config *c, enum section_kind section, const char *key)
{
    struct config shallow = *c;
    struct walk w = {0};
    struct place at;
    while (walk_next(&w, &shallow, &at))
        if (at.section == section && strcmp(at.setting->key, key) == 0)
            return c->lines[at.number];
    return 0;
}
