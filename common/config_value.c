#include "common/config_table.h"

#include "common/addr.h"

#include <sodium.h>

#define NAME_OCTETS        32   /* of a user or group (useradd(8)) */
#define SOCKET_PATH_OCTETS 1000 /* SOCKET_MAX, to say it to a worker */
#define SOCKET_NAME_OCTETS 80   /* reached as /proc/self/fd/N/name, which has to fit sun_path */
#define LIST_ENTRIES_MAX   4096

static bool is_none(const struct place *at, struct span text)
{
    return at->setting->or_none && span_eq(text, SPAN("none"));
}

/* --- numbers with units --- */

/* Takes "90" and its unit from the front: 0 and the product, or -1. Checked for overflow. */
static int take_number(struct span *text, const struct value_unit *units, uint64_t *out)
{
    size_t digits = 0, letters = 0;
    while (digits < text->n && text->p[digits] >= '0' && text->p[digits] <= '9')
        digits++;
    while (digits + letters < text->n &&
           (text->p[digits + letters] < '0' || text->p[digits + letters] > '9'))
        letters++;
    uint64_t v;
    if (span_u64((struct span){text->p, digits}, &v) < 0)
        return -1;
    struct span word = {text->p + digits, letters};
    for (const struct value_unit *u = units; u->word != NULL; u++)
        if (span_eq(word, span_of(u->word))) {
            if (v > INT64_MAX / u->factor)
                return -1;
            *out = v * u->factor;
            *text = span_from(*text, digits + letters);
            return 0;
        }
    return -1;
}

/* "1h30m". A bare 0 needs no unit. */
static int read_duration(struct span text, uint64_t *ms)
{
    *ms = 0;
    if (span_eq(text, SPAN("0")))
        return 0;
    if (text.n == 0)
        return -1;
    while (text.n > 0) {
        uint64_t part;
        if (take_number(&text, value_durations, &part) < 0 || part > INT64_MAX - *ms)
            return -1;
        *ms += part;
    }
    return 0;
}

static int check_range(const struct setting *s, uint64_t v, struct error *e)
{
    if (v >= s->min && v <= s->max)
        return 0;
    struct buf range;
    buf_init(&range, 200);
    if (value_format_number(&range, s->type, s->min) == 0 && buf_addf(&range, " to ") == 0)
        value_format_number(&range, s->type, s->max);
    struct span words = buf_span(&range);
    error_set(e, "must be from %.*s%s", (int)words.n, words.n > 0 ? words.p : "",
              s->or_none ? ", or none" : "");
    buf_free(&range);
    return -1;
}

/* How many octets of a value to repeat in a message. */
static int shown(struct span text)
{
    return text.n > 60 ? 60 : (int)text.n;
}

static int parse_duration_ms(const struct setting *s, struct span text, int64_t *ms,
                             struct error *e)
{
    uint64_t v;
    if (read_duration(text, &v) < 0)
        return error_set(e,
                         "'%.*s' is not a duration: write a number with a unit, like 500ms, 30s, "
                         "5m, 4h or 5d",
                         shown(text), text.p);
    *ms = (int64_t)v;
    return check_range(s, v, e);
}

static int parse_duration(const struct place *at, struct span text, struct error *e)
{
    if (is_none(at, text)) {
        *(int64_t *)at->value = DURATION_NONE;
        return 0;
    }
    return parse_duration_ms(at->setting, text, at->value, e);
}

static int parse_size(const struct place *at, struct span text, struct error *e)
{
    struct span rest = text;
    uint64_t *v = at->value;
    if (take_number(&rest, value_sizes, v) < 0 || rest.n > 0)
        return error_set(e,
                         "'%.*s' is not a size: write octets, or a number with K, M or G, like "
                         "50M",
                         shown(text), text.p);
    return check_range(at->setting, *v, e);
}

static int parse_count(const struct place *at, struct span text, struct error *e)
{
    uint64_t *v = at->value;
    if (is_none(at, text)) {
        *v = UINT64_MAX;
        return 0;
    }
    if (span_u64(text, v) < 0)
        return error_set(e, "'%.*s' is not a number", shown(text), text.p);
    return check_range(at->setting, *v, e);
}

static int parse_port(const struct place *at, struct span text, struct error *e)
{
    uint64_t v;
    if (span_u64(text, &v) < 0)
        return error_set(e, "'%.*s' is not a port number", shown(text), text.p);
    if (check_range(at->setting, v, e) < 0)
        return -1;
    *(uint16_t *)at->value = (uint16_t)v;
    return 0;
}

static int parse_rate(const struct place *at, struct span text, struct error *e)
{
    struct rate *r = at->value;
    *r = (struct rate){.is_off = is_none(at, text)};
    if (r->is_off)
        return 0;
    struct span period = text;
    struct span count = span_trim(span_cut(&period, '/'));
    uint64_t n, ms;
    if (span_u64(count, &n) < 0 || read_duration(span_trim(period), &ms) < 0)
        return error_set(e, "'%.*s' is not a rate: write a number and a time, like 10/10m, or none",
                         shown(text), text.p);
    if (check_range(at->setting, n, e) < 0)
        return -1;
    if (ms < 1000 || ms > UINT64_C(86400000))
        return error_set(e, "the time of a rate must be from 1s to 1d");
    *r = (struct rate){.count = (uint32_t)n, .period_ms = (int64_t)ms};
    return 0;
}

static int parse_choice(const struct place *at, struct span text, struct error *e)
{
    const char *const *words = at->setting->words;
    unsigned v = 0;
    while (words[v] != NULL && !span_eq(text, span_of(words[v])))
        v++;
    if (words[v] != NULL) {
        memcpy(at->value, &v, sizeof v); /* an enum */
        return 0;
    }
    error_set(e, "'%.*s' is not one of", shown(text), text.p);
    for (v = 0; words[v] != NULL; v++) {
        size_t used = strlen(e->text);
        snprintf(e->text + used, sizeof e->text - used, "%s %s", v > 0 ? "," : "", words[v]);
    }
    return -1;
}

/* --- words --- */

static int keep_text(char **value, struct span text, struct error *e)
{
    *value = span_dup(text);
    return *value != NULL ? 0 : error_set(e, "no memory");
}

static int keep_lower(char **value, struct span text, struct error *e)
{
    if (keep_text(value, text, e) < 0)
        return -1;
    for (char *c = *value; *c != '\0'; c++)
        *c = ascii_lower(*c);
    return 0;
}

static int parse_host(const struct place *at, struct span text, struct error *e)
{
    struct netaddr address;
    if (is_none(at, text))
        return 0;
    if (!addr_is_domain(text) || netaddr_parse(text, &address) == 0)
        return error_set(e, "'%.*s' is not a host name", shown(text), text.p);
    return keep_lower(at->value, text, e);
}

static int parse_path(const struct place *at, struct span text, struct error *e)
{
    if (is_none(at, text))
        return 0;
    if (text.n == 0 || text.p[0] != '/')
        return error_set(e, "'%.*s' must be an absolute path, starting with '/'", shown(text),
                         text.p);
    if (text.n > 1000)
        return error_set(e, "the path is longer than 1000 octets");
    while (text.n > 1 && text.p[text.n - 1] == '/')
        text.n--;
    return keep_text(at->value, text, e);
}

/* --- addresses of servers --- */

static int parse_url_port(struct span digits, uint16_t *port)
{
    uint64_t v;
    if (span_u64(digits, &v) < 0 || v == 0 || v > UINT16_MAX)
        return -1;
    *port = (uint16_t)v;
    return 0;
}

/* "host", "host:25", "[2001:db8::1]:25". Without a port *port stays NULL. */
static int split_authority(struct span text, struct span *host, struct span *port, struct error *e)
{
    struct netaddr address;
    *port = text;
    if (text.n == 0 || text.p[0] != '[') {
        *host = span_cut(port, ':');
        if (addr_is_domain(*host) || netaddr_parse(*host, &address) == 0)
            return 0;
        return error_set(e, "'%.*s' is not a host name or address (IPv6: in brackets)",
                         shown(*host), host->p);
    }
    *host = span_from(span_cut(port, ']'), 1);
    if (port->p == NULL || netaddr_parse(*host, &address) < 0 || address.n != 16 ||
        (port->n > 0 && port->p[0] != ':'))
        return error_set(e, "'%.*s' is not an IPv6 address in brackets", shown(text), text.p);
    *port = port->n > 0 ? span_from(*port, 1) : (struct span){NULL, 0};
    return 0;
}

static int parse_authority(struct span text, struct url *u, struct error *e)
{
    struct span host, port;
    if (split_authority(text, &host, &port, e) < 0)
        return -1;
    u->port = u->kind == HOP_LMTP ? 24 : u->is_tls ? 465 : 25;
    if (port.p != NULL && parse_url_port(port, &u->port) < 0)
        return error_set(e, "'%.*s' is not a port number", shown(port), port.p);
    return keep_lower(&u->host, host, e);
}

/* A word instead of servers. */
static bool is_word(const struct place *at, struct span text, enum hop_kind *kind)
{
    if (!at->setting->or_word)
        return false;
    *kind = span_eq(text, SPAN("hold")) ? HOP_HOLD
            : span_eq(text, SPAN("mx")) ? HOP_MX
                                        : HOP_DISCARD;
    return *kind != HOP_DISCARD || span_eq(text, SPAN("discard"));
}

/* "me%40example.org": %40 is an octet in hexadecimal digits. */
static int keep_user(char **value, struct span text, struct error *e)
{
    char user[URL_USER_MAX + 1];
    size_t n = 0;
    if (memchr(text.p, ':', text.n) != NULL)
        return error_set(e, "a password has no place in the URL: put it into a file and name that "
                            "in smarthost_secret");
    for (size_t i = 0; i < text.n; i++) {
        unsigned char octet = (unsigned char)text.p[i];
        size_t got = 1;
        bool is_code = text.p[i] == '%';
        if (is_code &&
            (i + 2 >= text.n ||
             sodium_hex2bin(&octet, 1, text.p + i + 1, 2, NULL, &got, NULL) != 0 || got != 1))
            return error_set(e, "'%.*s' is not a user name", shown(text), text.p);
        i += is_code ? 2 : 0;
        if (octet < ' ' || octet == 0x7f || n == URL_USER_MAX)
            return error_set(e, "'%.*s' is not a user name", shown(text), text.p);
        user[n++] = (char)octet;
    }
    if (n == 0)
        return error_set(e, "there is no user name before the @");
    return keep_text(value, (struct span){user, n}, e);
}

/* Takes "user@" off, if it is there. */
static int take_user(struct span *rest, struct url *u, struct error *e)
{
    for (size_t i = rest->n; i-- > 0;)
        if (rest->p[i] == '@') {
            struct span user = {rest->p, i};
            *rest = span_from(*rest, i + 1);
            return keep_user(&u->user, user, e);
        }
    return 0;
}

static int url_entry(const struct place *at, struct span text, void *entry, struct error *e)
{
    struct url *u = entry;
    struct span rest;
    *u = (struct url){.kind = HOP_SMTP};
    if (is_word(at, text, &u->kind))
        return *at->n == 0 ? 0 : error_set(e, "'%.*s' stands alone", shown(text), text.p);
    u->kind = span_istarts(text, SPAN("lmtp://")) ? HOP_LMTP : HOP_SMTP;
    if (*at->n > 0 && (*(struct url *const *)at->value)[0].kind >= HOP_HOLD)
        return error_set(e, "'hold', 'discard' and 'mx' stand alone");
    u->is_tls = span_istarts(text, SPAN("smtps://"));
    if (u->kind != HOP_LMTP && !u->is_tls && !span_istarts(text, SPAN("smtp://")))
        return error_set(e, "must be a URL like smtp://10.0.0.25:25");
    rest = span_from(text, u->is_tls ? sizeof "smtps://" - 1 : sizeof "smtp://" - 1);
    if (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    return take_user(&rest, u, e) < 0 ? -1 : parse_authority(rest, u, e);
}

/* --- lists --- */

typedef int parse_entry_fn(const struct place *at, struct span text, void *entry, struct error *e);

/* Entries with commas between them, at least one, each read by `fn`. */
static int parse_list(const struct place *at, struct span text, size_t size, parse_entry_fn *fn,
                      struct error *e)
{
    char **list = at->value;
    size_t cap = 0;
    if (is_none(at, text))
        return 0;
    for (struct span rest = text; rest.p != NULL;) {
        struct span entry = span_trim(span_cut(&rest, ','));
        if (entry.n == 0)
            return error_set(e, "an entry of the list is empty");
        if (*at->n == LIST_ENTRIES_MAX)
            return error_set(e, "a list has at most %d entries", LIST_ENTRIES_MAX);
        if (array_reserve((void **)list, &cap, *at->n + 1, size) < 0)
            return error_set(e, "no memory");
        if (fn(at, entry, *list + *at->n * size, e) < 0)
            return -1;
        ++*at->n;
    }
    return 0;
}

static int duration_entry(const struct place *at, struct span text, void *entry, struct error *e)
{
    return parse_duration_ms(at->setting, text, entry, e);
}

static int parse_name(const struct place *at, struct span text, struct error *e)
{
    if (is_none(at, text))
        return 0;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~' || text.p[i] == ':' || text.p[i] == '/')
            text.n = 0;
    if (text.n == 0 || text.n > NAME_OCTETS)
        return error_set(e, "'%.*s' is not a name", shown(text), text.p);
    return keep_text(at->value, text, e);
}

/* "unix:/path", or just "/path". */
static int path_entry(struct span path, char **to, struct error *e)
{
    const char *slash = memrchr(path.p, '/', path.n);
    if (slash == NULL || path.p[0] != '/' || slash + 1 == path.p + path.n)
        return error_set(e, "'%.*s' is not the absolute path of a socket", shown(path), path.p);
    if (path.n > SOCKET_PATH_OCTETS || path.n - (size_t)(slash - path.p) > SOCKET_NAME_OCTETS)
        return error_set(e, "a path has at most %d octets, its last part %d", SOCKET_PATH_OCTETS,
                         SOCKET_NAME_OCTETS - 1);
    *to = span_dup(path);
    return *to != NULL ? 0 : error_set(e, "no memory");
}

static int listen_entry(const struct place *at, struct span text, void *entry, struct error *e)
{
    (void)at;
    struct endpoint *to = entry;
    *to = (struct endpoint){0};
    if (span_starts(text, SPAN("unix:")))
        return path_entry(span_from(text, 5), &to->path, e);
    if (span_starts(text, SPAN("/")))
        return path_entry(text, &to->path, e);
    if (netaddr_parse_port(text, ':', &to->address) == 0)
        return 0;
    return error_set(e, "'%.*s' is not an address with a port, like 0.0.0.0:25 or [::]:25",
                     shown(text), text.p);
}

static int server_entry(const struct place *at, struct span text, void *entry, struct error *e)
{
    (void)at;
    struct netaddr *a = entry;
    if (netaddr_parse_port(text, '@', a) == 0 && a->port != 0)
        return 0;
    if (netaddr_parse(text, a) < 0)
        return error_set(e,
                         "'%.*s' is not the address of a DNS server, like 127.0.0.1 or "
                         "127.0.0.1@5353",
                         shown(text), text.p);
    a->port = 53;
    return 0;
}

static int network_entry(const struct place *at, struct span text, void *entry, struct error *e)
{
    (void)at;
    if (network_parse(text, entry) == 0)
        return 0;
    return error_set(e,
                     "'%.*s' is not a network, like 10.0.0.0/8 or ::1 (no bits may be set behind "
                     "the prefix)",
                     shown(text), text.p);
}

static int parse_urls(const struct place *at, struct span text, struct error *e)
{
    return parse_list(at, text, sizeof(struct url), url_entry, e);
}

static int parse_durations(const struct place *at, struct span text, struct error *e)
{
    return parse_list(at, text, sizeof(int64_t), duration_entry, e);
}

static int parse_listen(const struct place *at, struct span text, struct error *e)
{
    return parse_list(at, text, sizeof(struct endpoint), listen_entry, e);
}

static int parse_servers(const struct place *at, struct span text, struct error *e)
{
    return parse_list(at, text, sizeof(struct netaddr), server_entry, e);
}

static int parse_networks(const struct place *at, struct span text, struct error *e)
{
    return parse_list(at, text, sizeof(struct network), network_entry, e);
}

int value_parse(const struct place *at, struct span text, struct error *e)
{
    static int (*const parse[VALUE_TYPES])(const struct place *, struct span, struct error *) = {
        [VALUE_HOST] = parse_host,           [VALUE_PATH] = parse_path,
        [VALUE_SIZE] = parse_size,           [VALUE_COUNT] = parse_count,
        [VALUE_PORT] = parse_port,           [VALUE_DURATION] = parse_duration,
        [VALUE_DURATIONS] = parse_durations, [VALUE_RATE] = parse_rate,
        [VALUE_CHOICE] = parse_choice,       [VALUE_LISTEN] = parse_listen,
        [VALUE_SERVERS] = parse_servers,     [VALUE_NETWORKS] = parse_networks,
        [VALUE_URLS] = parse_urls,           [VALUE_NAME] = parse_name,
    };
    return parse[at->setting->type](at, text, e);
}
