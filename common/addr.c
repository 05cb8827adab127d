#include "common/addr.h"

#include "common/idn.h"
#include "common/utf8.h"

#include <arpa/inet.h>

#define PATH_MAX_OCTETS  256
#define LABEL_MAX_OCTETS 63

/* What is left to read. Every step returns false (and may have moved) when the text is not what it
 * looks for. */
struct cursor {
    struct span left;
};

static bool next_is(const struct cursor *c, char wanted)
{
    return c->left.n > 0 && c->left.p[0] == wanted;
}

static bool skip(struct cursor *c, char wanted)
{
    if (!next_is(c, wanted))
        return false;
    c->left = span_from(c->left, 1);
    return true;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 5322 3.2.3, RFC 6532 3.2; whether it is UTF-8 is looked at as a whole. */
static bool is_atext(char c)
{
    if ((unsigned char)c > 0x7f)
        return true;
    return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_dot_string(struct span s)
{
    bool after_dot = true;
    for (size_t i = 0; i < s.n; i++) {
        bool is_dot = s.p[i] == '.';
        if (is_dot ? after_dot : !is_atext(s.p[i]))
            return false;
        after_dot = is_dot;
    }
    return !after_dot;
}

bool addr_is_domain(struct span s)
{
    if (s.n == 0 || s.n > DOMAIN_MAX)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.') {
            if (label == 0 || s.p[i - 1] == '-')
                return false;
            label = 0;
            continue;
        }
        if (!is_alnum(s.p[i]) && !(s.p[i] == '-' && label > 0))
            return false;
        if (++label > LABEL_MAX_OCTETS)
            return false;
    }
    return label > 0 && s.p[s.n - 1] != '-';
}

/* The canonical text of a literal into out (ADDRESS_MAX octets). General-address-literal (RFC 5321
 * 4.1.3) has no registered tag but IPv6, so others are refused. */
static bool literal_canonical(struct span s, char *out)
{
    if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
        return false;
    struct span inner = {s.p + 1, s.n - 2};
    bool is_v6 = span_istarts(inner, SPAN("IPv6:"));
    char text[INET6_ADDRSTRLEN];
    unsigned char octets[16];
    if (span_copy(text, sizeof text, is_v6 ? span_from(inner, 5) : inner) < 0)
        return false;
    int family = is_v6 ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, octets) != 1 ||
        inet_ntop(family, octets, text, sizeof text) == NULL)
        return false;
    snprintf(out, ADDRESS_MAX, "[%s%s]", is_v6 ? "IPv6:" : "", text);
    return true;
}

bool addr_is_literal(struct span s)
{
    char canonical[ADDRESS_MAX];
    return literal_canonical(s, canonical);
}

/* The octets up to one of `stop` (or the end). */
static struct span take_until(struct cursor *c, const char *stop)
{
    size_t n = 0;
    while (n < c->left.n && c->left.p[n] != '\0' && strchr(stop, c->left.p[n]) == NULL)
        n++;
    struct span taken = {c->left.p, n};
    c->left = span_from(c->left, n);
    return taken;
}

/* A-d-l ":" (RFC 5321 appendix C): has to be right, and is forgotten. */
static bool skip_source_route(struct cursor *c)
{
    do {
        if (!skip(c, '@') || !addr_is_domain(take_until(c, ",:>")))
            return false;
    } while (skip(c, ','));
    return skip(c, ':');
}

/* Quoted-string without its quotes and escapes. */
static bool take_quoted(struct cursor *c, char *out, size_t cap)
{
    size_t n = 0;
    skip(c, '"');
    while (!next_is(c, '"')) {
        skip(c, '\\');
        if (c->left.n == 0 || n + 1 >= cap)
            return false;
        unsigned char octet = (unsigned char)c->left.p[0];
        if (octet < 32 || octet == 127)
            return false;
        out[n++] = (char)octet;
        c->left = span_from(c->left, 1);
    }
    out[n] = '\0';
    return skip(c, '"') && n > 0;
}

static bool take_local(struct cursor *c, char *out, size_t cap)
{
    if (next_is(c, '"'))
        return take_quoted(c, out, cap);
    struct span local = take_until(c, "@> ");
    return is_dot_string(local) && span_copy(out, cap, local) == 0;
}

static bool take_domain(struct cursor *c, struct addr *out)
{
    struct span domain = take_until(c, "> ");
    char labels[DOMAIN_MAX + 1];
    out->is_literal = domain.n > 0 && domain.p[0] == '[';
    if (out->is_literal)
        return literal_canonical(domain, out->domain);
    if (!idn_is_ascii(domain) && idn_domain(domain, labels) == 0)
        domain = span_of(labels);
    if (!addr_is_domain(domain) || span_copy(out->domain, sizeof out->domain, domain) < 0)
        return false;
    for (char *p = out->domain; *p != '\0'; p++)
        *p = ascii_lower(*p);
    return true;
}

/* The local part as it stands in a path: with the least quoting (RFC 5321 4.1.2). */
static bool local_canonical(const char *local, char *out, size_t cap)
{
    if (is_dot_string(span_of(local)))
        return span_copy(out, cap, span_of(local)) == 0;
    size_t n = 0;
    out[n++] = '"';
    for (; *local != '\0'; local++) {
        if (n + 4 > cap)
            return false;
        if (*local == '"' || *local == '\\')
            out[n++] = '\\';
        out[n++] = *local;
    }
    out[n++] = '"';
    out[n] = '\0';
    return true;
}

/* Fills in `text`, which with its <> has to be a path of a legal length. */
static bool finish(struct addr *out)
{
    char local[PATH_MAX_OCTETS];
    if (!local_canonical(out->local, local, sizeof local))
        return false;
    const char *at = out->domain[0] != '\0' ? "@" : "";
    int n = snprintf(out->text, sizeof out->text, "%s%s%s", local, at, out->domain);
    return n > 0 && n + 2 <= PATH_MAX_OCTETS;
}

/* No controls beyond ASCII either (U+0080 to U+009F): terminals obey them. */
static bool is_shown_utf8(struct span s)
{
    for (size_t i = 0; i + 1 < s.n; i++)
        if ((unsigned char)s.p[i] == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
            return false;
    return utf8_is_valid(s);
}

static bool check_local(struct addr *out)
{
    out->is_utf8 = !idn_is_ascii(span_of(out->local));
    return !out->is_utf8 || is_shown_utf8(span_of(out->local));
}

static bool take_mailbox(struct cursor *c, enum addr_form form, struct addr *out)
{
    if (!take_local(c, out->local, PATH_MAX_OCTETS) || !check_local(out))
        return false;
    if (skip(c, '@'))
        return take_domain(c, out) && finish(out);
    bool is_postmaster = span_ieq(span_of(out->local), SPAN("postmaster"));
    if (form == ADDR_LOCAL_PATH && !is_postmaster)
        return finish(out);
    if ((form != ADDR_FORWARD_PATH && form != ADDR_LOCAL_PATH) || !is_postmaster)
        return false;
    for (char *p = out->local; *p != '\0'; p++)
        *p = ascii_lower(*p);
    return finish(out);
}

static bool take_path(struct cursor *c, enum addr_form form, struct addr *out)
{
    if (!skip(c, '<'))
        return false;
    if (form == ADDR_REVERSE_PATH && skip(c, '>')) {
        out->is_null = true;
        return true;
    }
    if (next_is(c, '@') && !skip_source_route(c))
        return false;
    return take_mailbox(c, form, out) && skip(c, '>');
}

int addr_parse(struct span in, enum addr_form form, struct addr *out, size_t *used)
{
    struct cursor c = {in};
    out->local[0] = out->domain[0] = out->text[0] = '\0';
    out->is_null = out->is_literal = out->is_utf8 = false;
    bool is_good = form == ADDR_MAILBOX ? take_mailbox(&c, form, out) && c.left.n == 0
                                        : take_path(&c, form, out);
    size_t read = in.n - c.left.n;
    if (!is_good || (form != ADDR_MAILBOX && read > PATH_MAX_OCTETS))
        return -1;
    *used = read;
    return 0;
}

struct span addr_without_tag(struct span local)
{
    struct span rest = local;
    struct span user = span_cut(&rest, '+');
    /* "+tag" alone is a name, not a tag of nobody. */
    return user.n > 0 ? user : local;
}
