#include "common/tlsrpt.h"

#include "common/addr.h"
#include "common/net.h"

#include <sodium.h>

#define RECORD     "v=TLSRPTv1"
#define MAILTO     "mailto:"
#define HTTPS      "https://"
#define URL_OCTETS "-._~%!$&'()*+,;=:@/?"

const char *tlsrpt_policy_name(enum tlsrpt_policy p)
{
    static const char *const names[TLSRPT_POLICIES] = {"no-policy-found", "tlsa", "sts"};
    return (size_t)p < TLSRPT_POLICIES ? names[p] : "?";
}

const char *tlsrpt_result_name(enum tlsrpt_result r)
{
    static const char *const names[TLSRPT_RESULTS] = {"",
                                                      "",
                                                      "starttls-not-supported",
                                                      "certificate-host-mismatch",
                                                      "certificate-expired",
                                                      "certificate-not-trusted",
                                                      "validation-failure",
                                                      "sts-policy-fetch-error",
                                                      "sts-policy-invalid",
                                                      "sts-webpki-invalid",
                                                      "dnssec-invalid",
                                                      "tlsa-invalid"};
    return (size_t)r < TLSRPT_RESULTS ? names[r] : "?";
}

bool tlsrpt_is_policy_fault(unsigned result)
{
    return result >= TLSRPT_STS_FETCH && result <= TLSRPT_STS_WEBPKI;
}

bool tlsrpt_is_tlsa(struct span records)
{
    struct unpacker u = unpacker_on(records);
    while (u.left.n > 0 && !u.failed) {
        unpack_uint(&u, 3);
        unpack_bytes(&u, TLSA_DATA_MAX);
    }
    return !u.failed;
}

/* "v=TLSRPTv1", then a semicolon, or the end. */
static bool is_ours(struct span text)
{
    if (!span_starts(text, SPAN(RECORD)))
        return false;
    struct span rest = span_trim(span_from(text, sizeof RECORD - 1));
    return rest.n == 0 || rest.p[0] == ';';
}

/* "a%40b@example.org?subject=x": 0 and the address, or -1. */
static int read_mailto(struct span text, char out[ADDRESS_MAX])
{
    struct span path = span_cut(&text, '?');
    struct addr a;
    size_t n = 0, used, got;
    char plain[ADDRESS_MAX];
    for (size_t i = 0; i < path.n && n < sizeof plain; i++) {
        unsigned char octet = (unsigned char)path.p[i];
        if (octet == '%') {
            if (i + 2 >= path.n ||
                sodium_hex2bin(&octet, 1, path.p + i + 1, 2, NULL, &got, NULL) != 0 || got != 1)
                return -1;
            i += 2;
        }
        plain[n++] = (char)octet;
    }
    struct span address = {plain, n};
    if (n == sizeof plain || addr_parse(address, ADDR_MAILBOX, &a, &used) < 0 || used != n)
        return -1;
    return span_copy(out, ADDRESS_MAX, span_of(a.text));
}

bool tlsrpt_is_url(struct span text)
{
    return span_istarts(text, SPAN(HTTPS));
}

static bool is_url_octet(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
           (c != '\0' && strchr(URL_OCTETS, c) != NULL);
}

static int read_port(struct span text, uint16_t *out)
{
    uint64_t port;
    if (span_u64(text, &port) < 0 || port > UINT16_MAX || (port < 1024 && port != 443))
        return -1;
    *out = (uint16_t)port;
    return 0;
}

int tlsrpt_read_url(struct span text, struct tlsrpt_url *out)
{
    if (!tlsrpt_is_url(text) || text.n > RUA_URL_MAX)
        return -1;
    struct span rest = span_from(text, sizeof HTTPS - 1);
    for (size_t i = 0; i < rest.n; i++)
        if (!is_url_octet(rest.p[i]))
            return -1;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    struct span authority = {rest.p, n};
    *out = (struct tlsrpt_url){.path = span_from(rest, n)};
    out->host = span_cut(&authority, ':');
    if (authority.p != NULL && read_port(authority, &out->port) < 0)
        return -1;
    struct netaddr a;
    bool is_name = addr_is_domain(out->host) && memchr(out->host.p, '.', out->host.n) != NULL &&
                   netaddr_parse(out->host, &a) < 0;
    return is_name ? 0 : -1;
}

/* What a URI names; empty: nothing that is known. */
static struct span read_uri(struct span uri, char room[ADDRESS_MAX])
{
    struct tlsrpt_url url;
    if (tlsrpt_read_url(uri, &url) == 0)
        return uri;
    bool is_mail = span_istarts(uri, SPAN(MAILTO)) &&
                   read_mailto(span_from(uri, sizeof MAILTO - 1), room) == 0;
    return is_mail ? span_of(room) : SPAN("");
}

static size_t read_uris(struct span list, struct packer *out, size_t *n_others)
{
    size_t n = 0;
    while (list.n > 0) {
        char room[ADDRESS_MAX];
        struct span uri = span_trim(span_cut(&list, ','));
        struct span to = read_uri(uri, room);
        if (to.n > 0 && n < RUA_MAX) {
            pack_bytes(out, to);
            n++;
        } else if (uri.n > 0) {
            ++*n_others;
        }
    }
    return n;
}

size_t tlsrpt_read_records(struct span records, struct packer *out, size_t *n_others)
{
    struct unpacker u = unpacker_on(records);
    struct span found = SPAN("");
    size_t n_found = 0;
    *n_others = 0;
    while (u.left.n > 0 && !u.failed) {
        struct span text = unpack_bytes(&u, LIST_MAX);
        if (!u.failed && is_ours(text)) {
            found = text;
            n_found++;
        }
    }
    if (u.failed || n_found != 1)
        return 0;
    span_cut(&found, ';');
    while (found.n > 0) {
        struct span field = span_trim(span_cut(&found, ';'));
        if (span_starts(field, SPAN("rua=")))
            return read_uris(span_from(field, sizeof "rua=" - 1), out, n_others);
    }
    return 0;
}
