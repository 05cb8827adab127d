/* Where would it go: room in mailboxes (queue knows), and the way to other servers: by the
 * configuration, then, if the relay runs, by what it would do at this moment. */
#include "cli/explain.h"

#include "common/route.h"

#include <inttypes.h>

#define DOMAINS_MAX 20 /* that the relay is asked about */

struct way {
    struct explain *x;
    struct msg_queue_room_re room;
    bool is_queue_absent, is_relay_absent;
    char asked[DOMAINS_MAX][DOMAIN_MAX + 1];
    size_t n_asked;
};

/* --- mailboxes --- */

static bool ask_room(struct way *w, uint64_t box, uint64_t quota, struct rows *out)
{
    char texts[3][24];
    const uint64_t numbers[] = {box, quota, w->x->size};
    struct span args[3];
    struct error e;
    for (size_t i = 0; i < 3; i++) {
        snprintf(texts[i], sizeof texts[i], "%" PRIu64, numbers[i]);
        args[i] = span_of(texts[i]);
    }
    struct question q = {.process = ROLE_QUEUE, .admin = "box room", .args = args, .n_args = 3};
    if (w->is_queue_absent)
        return false;
    if (cli_ask(w->x->cli, &q, out, NULL, &e) == 0 && out->n > 0)
        return true;
    w->is_queue_absent = true;
    explain_unknown(w->x, "room in mailboxes", e.text);
    return false;
}

static void show_room(struct way *w, struct admin_row *r, const struct row *known, uint64_t quota)
{
    uint64_t octets = (uint64_t)row_find_number(known, "octets");
    int64_t reason = row_find_number(known, "reason");
    row_size(r, "octets", octets);
    if (quota > 0)
        row_size(r, "quota_left", octets < quota ? quota - octets : 0);
    else
        row_null(r, "quota_left");
    row_bool(r, "has_room", reason == INTAKE_OK);
    if (reason != INTAKE_OK && w->room.verdict == VERDICT_OK)
        w->room =
            (struct msg_queue_room_re){.verdict = VERDICT_TRY_LATER, .reason = (uint8_t)reason};
}

static void show_mailbox(struct way *w, const struct row *target)
{
    static struct admin_row r;
    struct rows known = {.n = 0};
    struct column address;
    uint64_t quota = (uint64_t)row_find_number(target, "quota");
    uint64_t box = (uint64_t)row_find_number(target, "box");
    if (!row_find(target, "address", &address))
        return;
    row_begin(&r);
    row_text(&r, "address", address.text);
    if (quota > 0)
        row_size(&r, "quota", quota);
    else
        row_null(&r, "quota");
    if (ask_room(w, box, quota, &known)) {
        show_room(w, &r, &known.list[0], quota);
    } else {
        row_null(&r, "octets");
        row_null(&r, "quota_left");
        row_null(&r, "has_room");
    }
    explain_show(w->x, "mailboxes", &r);
    rows_free(&known);
}

/* --- other servers --- */

struct setting {
    const char *section, *key;
    char value[400];
    size_t line;
};

static void find_setting(void *arg, const char *section, const char *key, const char *value,
                         size_t line)
{
    struct setting *s = arg;
    if (strcmp(section, s->section) != 0 || strcmp(key, s->key) != 0)
        return;
    snprintf(s->value, sizeof s->value, "%s", value);
    s->line = line;
}

size_t explain_line(const struct explain *x, const char *section, const char *key)
{
    struct setting s = {.section = section, .key = key};
    config_show(x->cli->config, find_setting, &s);
    return s.line;
}

static void show_hops(struct way *w, const char *domain, const struct rows *hops)
{
    static struct admin_row r;
    for (size_t i = 0; i < hops->n; i++) {
        static const char *const texts[] = {"host", "address", "protocol", "tls", "login", "reply"};
        struct column c;
        row_begin(&r);
        row_text(&r, "domain", span_of(domain));
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
            if (row_find(&hops->list[i], texts[k], &c))
                row_text(&r, texts[k], c.text);
            else
                row_null(&r, texts[k]);
        explain_show(w->x, "hops", &r);
    }
}

static void ask_hops(struct way *w, const char *domain)
{
    char from[ADDRESS_MAX + 8];
    struct rows hops = {.n = 0};
    struct error e;
    snprintf(from, sizeof from, "from=%s", w->x->from.text);
    const struct span args[] = {span_of(domain), span_of(from)};
    struct question q = {.process = ROLE_RELAY, .admin = "plan", .args = args, .n_args = 2};
    for (size_t i = 0; i < w->n_asked; i++)
        if (strcmp(w->asked[i], domain) == 0)
            return;
    if (w->is_relay_absent || w->n_asked == DOMAINS_MAX ||
        span_copy(w->asked[w->n_asked], sizeof w->asked[0], span_of(domain)) < 0)
        return;
    w->n_asked++;
    if (cli_ask(w->x->cli, &q, &hops, NULL, &e) == 0) {
        show_hops(w, domain, &hops);
    } else {
        w->is_relay_absent = true;
        explain_unknown(w->x, "addresses of other servers", e.text);
    }
    rows_free(&hops);
}

static const char *word_of(enum hop_kind kind)
{
    return kind == HOP_HOLD ? "hold" : kind == HOP_DISCARD ? "discard" : "send";
}

/* How long it is tried, and when its sender hears that it is late. */
static void show_times(const struct config *c, const char *section, struct admin_row *r)
{
    static const char *const keys[] = {"expire", "delay_warning"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct setting s = {.section = "relay", .key = keys[i]};
        config_show(c, find_setting, &s);
        s.section = section; /* what the route does not set is not shown for it */
        config_show(c, find_setting, &s);
        row_text(r, keys[i], span_of(s.value));
    }
}

static void show_remote(struct way *w, const struct row *target)
{
    static struct admin_row r;
    struct column address, owner;
    struct addr a;
    size_t used;
    struct route route;
    struct span sender = span_of(w->x->from.text);
    char section[ROUTE_KEY_MAX];
    const struct config *c = w->x->cli->config;
    if (!row_find(target, "address", &address) ||
        addr_parse(address.text, ADDR_MAILBOX, &a, &used) < 0)
        return;
    bool has_owner = sender.n > 0 && row_find(target, "owner", &owner);
    if (has_owner) /* of a list, who is the sender of what it sends on */
        sender = owner.text;
    route_for(c, span_of(a.domain), sender, &route);
    bool is_by_mx = route.n_to == 0;
    snprintf(section, sizeof section, "%s%s", route.name != NULL ? "route " : "relay",
             route.name != NULL ? route.name : "");
    struct setting to = {.section = section, .key = route.name != NULL ? "to" : "smarthost"};
    config_show(c, find_setting, &to);
    row_begin(&r);
    row_text(&r, "address", span_of(a.text));
    if (has_owner)
        row_text(&r, "sender", sender);
    row_text(&r, "by",
             route.name != NULL ? span_of(section)
             : is_by_mx         ? SPAN("MX")
                                : SPAN("smarthost"));
    if (to.line > 0)
        row_number(&r, "line", (int64_t)to.line);
    else
        row_null(&r, "line");
    row_text(&r, "action", span_of(word_of(route_kind(&route))));
    if (is_by_mx)
        row_null(&r, "next_hop");
    else
        row_text(&r, "next_hop", span_of(to.value));
    row_text(&r, "tls", span_of(relay_tls_name(route.delivery->tls)));
    show_times(c, section, &r);
    explain_show(w->x, "remote", &r);
    if (route_kind(&route) == HOP_SMTP)
        ask_hops(w, a.domain);
}

struct msg_queue_room_re explain_way(struct explain *x)
{
    struct way w = {.x = x, .room = {.verdict = VERDICT_OK}};
    for (size_t i = 0; i < x->authd.n; i++) {
        const struct row *row = &x->authd.list[i];
        struct admin_row copy = {.w = packer_on(copy.octets, sizeof copy.octets)};
        if (strcmp(row->group, "mailboxes") == 0) {
            show_mailbox(&w, row);
        } else if (strcmp(row->group, "remote") == 0) {
            show_remote(&w, row);
        } else if (strcmp(row->group, "aliases") == 0 && row->n <= sizeof copy.octets) {
            memcpy(copy.octets, row->fields, row->n);
            copy.w.n = row->n;
            explain_show(x, "aliases", &copy);
        }
    }
    return w.room;
}

struct msg_queue_room_re explain_backup(struct explain *x, const char **why)
{
    static char room[200];
    struct rows found = {.n = 0};
    struct error e;
    struct column c;
    const struct span args[] = {span_of(x->to.text)};
    struct question q = {
        .process = ROLE_QUEUE, .admin = "recipient look", .args = args, .n_args = 1};
    struct msg_queue_room_re re = {.verdict = VERDICT_OK};
    *why = "who exists there could not be asked";
    if (cli_ask(x->cli, &q, &found, NULL, &e) == 0 && found.n > 0) {
        int64_t reason = row_find_number(&found.list[0], "reason");
        bool is_open = row_find_number(&found.list[0], "is_open") != 0;
        if (row_find(&found.list[0], "why", &c) && span_copy(room, sizeof room, c.text) == 0)
            *why = room;
        if (is_open)
            explain_unknown(x, "whether the recipient exists", *why);
        else if (reason != INTAKE_OK)
            re = (struct msg_queue_room_re){.verdict = reason == INTAKE_NOBODY ? VERDICT_NEVER
                                                                               : VERDICT_TRY_LATER,
                                            .reason = (uint8_t)reason};
    } else {
        explain_unknown(x, "whether the recipient exists", e.text);
    }
    rows_free(&found);
    return re;
}
