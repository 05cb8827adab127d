#include "common/config_table.h"

/* The largest first, for printing. */
const struct value_unit value_durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                             {"s", 1000},     {"ms", 1},      {NULL, 0}};
const struct value_unit value_sizes[] = {
    {"G", UINT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};

/* Without loss: the parts of a duration one after the other, a size in its largest exact unit. */
static int format_duration(struct buf *out, uint64_t ms)
{
    if (ms == 0)
        return buf_addf(out, "0s");
    for (const struct value_unit *u = value_durations; u->word != NULL; u++) {
        if (ms >= u->factor &&
            buf_addf(out, "%llu%s", (unsigned long long)(ms / u->factor), u->word) < 0)
            return -1;
        ms %= u->factor;
    }
    return 0;
}

static int format_size(struct buf *out, uint64_t octets)
{
    const struct value_unit *u = value_sizes;
    while (u->factor > 1 && (octets % u->factor != 0 || octets < u->factor))
        u++;
    return buf_addf(out, "%llu%s", (unsigned long long)(octets / u->factor), u->word);
}

int value_format_number(struct buf *out, enum value_type type, uint64_t v)
{
    if (type == VALUE_DURATION || type == VALUE_DURATIONS)
        return format_duration(out, v);
    if (type == VALUE_SIZE)
        return format_size(out, v);
    return buf_addf(out, "%llu", (unsigned long long)v);
}

static int format_address(struct buf *out, const struct place *at, size_t i)
{
    char text[NETADDR_TEXT];
    if (at->setting->type == VALUE_LISTEN) {
        const struct endpoint *to = &(*(struct endpoint *const *)at->value)[i];
        netaddr_format_port(text, &to->address);
        return to->path != NULL ? buf_addf(out, "unix:%s", to->path) : buf_addf(out, "%s", text);
    }
    const struct netaddr *a = &(*(struct netaddr *const *)at->value)[i];
    netaddr_format(text, a);
    return buf_addf(out, "%s@%u", text, (unsigned)a->port);
}

static int format_network(struct buf *out, const struct network *n)
{
    char text[NETADDR_TEXT];
    netaddr_format(text, &n->base);
    return buf_addf(out, "%s/%u", text, (unsigned)n->bits);
}

/* As keep_user reads it. */
static int format_user(struct buf *out, const char *user)
{
    for (const char *c = user; *c != '\0'; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                        (*c >= '0' && *c <= '9') || *c == '.' || *c == '-' || *c == '_';
        if (buf_addf(out, is_plain ? "%c" : "%%%02x", (unsigned char)*c) < 0)
            return -1;
    }
    return buf_addf(out, "@");
}

static int format_url(struct buf *out, const struct url *u)
{
    static const char *const words[] = {
        [HOP_HOLD] = "hold", [HOP_DISCARD] = "discard", [HOP_MX] = "mx"};
    if (u->kind >= HOP_HOLD)
        return buf_addf(out, "%s", words[u->kind]);
    bool is_v6 = strchr(u->host, ':') != NULL;
    const char *scheme = u->kind == HOP_LMTP ? "lmtp" : u->is_tls ? "smtps" : "smtp";
    if (buf_addf(out, "%s://", scheme) < 0 || (u->user != NULL && format_user(out, u->user) < 0))
        return -1;
    return buf_addf(out, is_v6 ? "[%s]:%u" : "%s:%u", u->host, (unsigned)u->port);
}

static int format_entry(struct buf *out, const struct place *at, size_t i)
{
    switch (at->setting->type) {
    case VALUE_DURATIONS:
        return format_duration(out, (uint64_t)(*(int64_t *const *)at->value)[i]);
    case VALUE_NETWORKS:
        return format_network(out, &(*(struct network *const *)at->value)[i]);
    case VALUE_URLS:
        return format_url(out, &(*(struct url *const *)at->value)[i]);
    default:
        return format_address(out, at, i);
    }
}

static int format_list(struct buf *out, const struct place *at)
{
    if (*at->n == 0)
        return buf_addf(out, "none");
    for (size_t i = 0; i < *at->n; i++)
        if ((i > 0 && buf_addf(out, ", ") < 0) || format_entry(out, at, i) < 0)
            return -1;
    return 0;
}

static int format_rate(struct buf *out, const struct rate *r)
{
    if (r->is_off)
        return buf_addf(out, "none");
    if (buf_addf(out, "%u/", (unsigned)r->count) < 0)
        return -1;
    return format_duration(out, (uint64_t)r->period_ms);
}

static int format_choice(struct buf *out, const struct place *at)
{
    unsigned v;
    memcpy(&v, at->value, sizeof v);
    return buf_addf(out, "%s", at->setting->words[v]);
}

int value_format(const struct place *at, struct buf *out)
{
    const struct setting *s = at->setting;
    switch (s->type) {
    case VALUE_HOST:
    case VALUE_NAME:
    case VALUE_PATH: {
        const char *text = *(char *const *)at->value;
        return buf_addf(out, "%s", text != NULL ? text : s->or_none ? "none" : "");
    }
    case VALUE_SIZE:
    case VALUE_COUNT: {
        uint64_t v = *(const uint64_t *)at->value;
        if (s->or_none && v == UINT64_MAX)
            return buf_addf(out, "none");
        return value_format_number(out, s->type, v);
    }
    case VALUE_PORT:
        return buf_addf(out, "%u", (unsigned)*(const uint16_t *)at->value);
    case VALUE_DURATION:
        if (s->or_none && *(const int64_t *)at->value == DURATION_NONE)
            return buf_addf(out, "none");
        return format_duration(out, (uint64_t) * (const int64_t *)at->value);
    case VALUE_RATE:
        return format_rate(out, at->value);
    case VALUE_CHOICE:
        return format_choice(out, at);
    default:
        return format_list(out, at);
    }
}

static int copy_durations(const struct place *to, const struct place *from)
{
    int64_t **list = to->value;
    *list = alloc_array(*from->n + 1, sizeof **list);
    if (*list == NULL)
        return -1;
    memcpy(*list, *(int64_t *const *)from->value, *from->n * sizeof **list);
    *to->n = *from->n;
    return 0;
}

int value_copy(const struct place *to, const struct place *from)
{
    static const size_t sizes[VALUE_TYPES] = {
        [VALUE_SIZE] = sizeof(uint64_t),    [VALUE_COUNT] = sizeof(uint64_t),
        [VALUE_PORT] = sizeof(uint16_t),    [VALUE_DURATION] = sizeof(int64_t),
        [VALUE_RATE] = sizeof(struct rate), [VALUE_CHOICE] = sizeof(enum plaintext),
    };
    if (to->setting->type == VALUE_DURATIONS)
        return copy_durations(to, from);
    memcpy(to->value, from->value, sizes[to->setting->type]);
    return 0;
}

static void release_urls(const struct place *at)
{
    struct url *list = *(struct url **)at->value;
    for (size_t i = 0; i < *at->n; i++) {
        free(list[i].user);
        free(list[i].host);
    }
    free(list);
}

static void release_endpoints(const struct place *at)
{
    struct endpoint *list = *(struct endpoint **)at->value;
    for (size_t i = 0; i < *at->n; i++)
        free(list[i].path);
    free(list);
}

void value_release(const struct place *at)
{
    switch (at->setting->type) {
    case VALUE_HOST:
    case VALUE_NAME:
    case VALUE_PATH:
    case VALUE_DURATIONS:
    case VALUE_SERVERS:
    case VALUE_NETWORKS:
        free(*(void **)at->value);
        break;
    case VALUE_URLS:
        release_urls(at);
        break;
    case VALUE_LISTEN:
        release_endpoints(at);
        break;
    default:
        break;
    }
}

static int describe_choice(const struct setting *s, struct buf *out)
{
    for (size_t i = 0; s->words[i] != NULL; i++)
        if (buf_addf(out, "%s%s", i == 0 ? "" : s->words[i + 1] ? ", " : " or ", s->words[i]) < 0)
            return -1;
    return 0;
}

static int describe_range(const struct setting *s, struct buf *out)
{
    if (buf_addf(out, " from ") < 0 || value_format_number(out, s->type, s->min) < 0 ||
        buf_addf(out, " to ") < 0)
        return -1;
    return value_format_number(out, s->type, s->max);
}

int value_describe(const struct setting *s, struct buf *out)
{
    static const char *const words[VALUE_TYPES] = {
        [VALUE_HOST] = "host name",
        [VALUE_PATH] = "absolute path",
        [VALUE_SIZE] = "size",
        [VALUE_COUNT] = "number",
        [VALUE_PORT] = "number",
        [VALUE_DURATION] = "duration",
        [VALUE_DURATIONS] = "list of durations, each",
        [VALUE_RATE] = "number/duration, number",
        [VALUE_CHOICE] = "",
        [VALUE_NAME] = "name",
        [VALUE_LISTEN] = "list of address:port",
        [VALUE_SERVERS] = "list of address or address@port",
        [VALUE_NETWORKS] = "list of networks (address/bits)",
        [VALUE_URLS] = "list of URLs",
    };
    if (s->type == VALUE_CHOICE)
        return describe_choice(s, out);
    if (buf_addf(out, "%s", words[s->type]) < 0 || (s->max > 0 && describe_range(s, out) < 0))
        return -1;
    return s->or_none ? buf_addf(out, ", or none") : 0;
}
