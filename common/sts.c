#include "common/sts.h"

#include "common/addr.h"

#define RECORD "v=STSv1"

const char *sts_mode_name(enum sts_mode m)
{
    static const char *const names[STS_MODES] = {"none", "testing", "enforce"};
    return (unsigned)m < STS_MODES ? names[m] : "unknown";
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s = span_from(s, 1);
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool is_alnum(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* sts-ext-name, sts-policy-ext-name. */
static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && (i == 0 || strchr("_-.", s.p[i]) == NULL || s.p[i] == '\0'))
            return false;
    return s.n > 0 && s.n <= 32;
}

/* --- the record --- */

static bool is_ext_value(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] > '~' || s.p[i] == '=')
            return false;
    return s.n > 0;
}

static bool is_id(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]))
            return false;
    return s.n > 0 && s.n <= STS_ID_MAX;
}

static bool is_ours(struct span text)
{
    if (!span_starts(text, SPAN(RECORD)))
        return false;
    struct span rest = trim(span_from(text, sizeof RECORD - 1));
    return rest.n > 0 && rest.p[0] == ';';
}

/* The fields behind the version; of two with one name the first counts. */
static int read_record(struct span text, char id[STS_ID_MAX + 1])
{
    struct span rest = text;
    span_cut(&rest, ';');
    id[0] = '\0';
    while (rest.p != NULL) {
        struct span field = trim(span_cut(&rest, ';'));
        if (field.n == 0 && rest.p == NULL)
            break; /* the delimiter behind the last one */
        struct span value = field;
        struct span name = span_cut(&value, '=');
        if (value.p == NULL || !is_name(name) || !is_ext_value(value))
            return -1;
        if (!span_eq(name, SPAN("id")) || id[0] != '\0')
            continue;
        if (!is_id(value) || span_copy(id, STS_ID_MAX + 1, value) < 0)
            return -1;
    }
    return id[0] != '\0' ? 0 : -1;
}

int sts_read_records(struct span records, char id[STS_ID_MAX + 1])
{
    struct unpacker u = unpacker_on(records);
    struct span found = {NULL, 0};
    while (u.left.n > 0 && !u.failed) {
        struct span text = unpack_bytes(&u, LIST_MAX);
        if (u.failed || !is_ours(text))
            continue;
        if (found.p != NULL)
            return -1;
        found = text;
    }
    return found.p != NULL && !u.failed ? read_record(found, id) : -1;
}

/* --- the policy --- */

struct reading {
    struct sts_policy *out;
    struct packer mx;
    bool has_version, has_mode, has_age;
};

static const char *take_version(struct reading *r, struct span value)
{
    r->has_version = true;
    return span_eq(value, SPAN("STSv1")) ? NULL : "its version is not STSv1";
}

static const char *take_mode(struct reading *r, struct span value)
{
    for (int m = 0; m < STS_MODES && !r->has_mode; m++)
        if (span_eq(value, span_of(sts_mode_name((enum sts_mode)m)))) {
            r->out->mode = (enum sts_mode)m;
            r->has_mode = true;
        }
    return r->has_mode ? NULL : "its mode is none of enforce, testing, none";
}

static const char *take_age(struct reading *r, struct span value)
{
    uint64_t age;
    if (value.n == 0 || value.n > 10 || span_u64(value, &age) < 0)
        return "its max_age is no number of seconds";
    r->has_age = true;
    r->out->max_age = (uint32_t)(age < STS_AGE_MAX ? age : STS_AGE_MAX);
    return NULL;
}

static bool is_pattern(struct span s)
{
    if (span_starts(s, SPAN("*.")))
        s = span_from(s, 2);
    return addr_is_domain(s);
}

static const char *take_mx(struct reading *r, struct span value)
{
    char lower[DOMAIN_MAX + 3];
    if (value.n >= sizeof lower || !is_pattern(value))
        return "an mx of it is no name";
    if (r->out->n_mx == STS_MX_MAX)
        return "it has too many mx";
    for (size_t i = 0; i < value.n; i++)
        lower[i] = ascii_lower(value.p[i]);
    pack_bytes(&r->mx, (struct span){lower, value.n});
    r->out->n_mx++;
    return NULL;
}

/* Of two with one name the first counts, but for mx. */
static const char *take_field(struct reading *r, struct span name, struct span value)
{
    if (span_eq(name, SPAN("mx")))
        return take_mx(r, value);
    if (span_eq(name, SPAN("version")))
        return r->has_version ? NULL : take_version(r, value);
    if (span_eq(name, SPAN("mode")))
        return r->has_mode ? NULL : take_mode(r, value);
    if (span_eq(name, SPAN("max_age")))
        return r->has_age ? NULL : take_age(r, value);
    return NULL;
}

static bool is_value(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return false;
    return s.n > 0;
}

static const char *take_line(struct reading *r, struct span line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    line = trim(line);
    if (line.n == 0)
        return NULL; /* some editors leave one */
    struct span value = line;
    struct span name = span_cut(&value, ':');
    if (value.p == NULL || !is_name(name))
        return "a line of it is not name: value";
    value = trim(value);
    return is_value(value) ? take_field(r, name, value) : "a value of it is not text";
}

const char *sts_parse(struct span text, struct sts_policy *out)
{
    *out = (struct sts_policy){.mode = STS_NONE};
    struct reading r = {.out = out, .mx = packer_on(out->mx, sizeof out->mx)};
    const char *why = text.n <= STS_TEXT_MAX ? NULL : "it is too long";
    while (text.p != NULL && why == NULL)
        why = take_line(&r, span_cut(&text, '\n'));
    out->mx_n = r.mx.n;
    if (why != NULL)
        return why;
    if (!r.has_version || !r.has_mode || !r.has_age)
        return "it does not have version, mode and max_age";
    if (out->n_mx == 0 && out->mode != STS_NONE)
        return "it has no mx";
    return r.mx.failed ? "it is too long" : NULL;
}

/* --- matching --- */

bool sts_mx_is_sane(struct span packed)
{
    struct unpacker u = unpacker_on(packed);
    size_t n = 0;
    while (u.left.n > 0 && !u.failed) {
        struct span pattern = unpack_text(&u, DOMAIN_MAX + 2);
        if (u.failed || !is_pattern(pattern) || ++n > STS_MX_MAX)
            return false;
    }
    return !u.failed;
}

static bool is_match(struct span pattern, struct span host)
{
    if (!span_starts(pattern, SPAN("*.")))
        return span_ieq(pattern, host);
    struct span rest = host;
    struct span label = span_cut(&rest, '.');
    return label.n > 0 && rest.p != NULL && span_ieq(span_from(pattern, 2), rest);
}

bool sts_matches(struct span packed, struct span host)
{
    struct unpacker u = unpacker_on(packed);
    bool found = false;
    while (u.left.n > 0 && !u.failed && !found) {
        struct span pattern = unpack_text(&u, DOMAIN_MAX + 2);
        found = !u.failed && is_match(pattern, host);
    }
    return found;
}
