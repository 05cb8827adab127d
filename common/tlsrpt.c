#include "common/tlsrpt.h"

#include "common/addr.h"

#include <sodium.h>

#define RECORD "v=TLSRPTv1"
#define MAILTO "mailto:"

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
                                                      "validation-failure"};
    return (size_t)r < TLSRPT_RESULTS ? names[r] : "?";
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

static size_t read_uris(struct span list, struct packer *out, size_t *n_others)
{
    size_t n = 0;
    while (list.n > 0) {
        char address[ADDRESS_MAX];
        struct span uri = span_trim(span_cut(&list, ','));
        bool is_mail = span_istarts(uri, SPAN(MAILTO)) &&
                       read_mailto(span_from(uri, sizeof MAILTO - 1), address) == 0;
        if (is_mail && n < RUA_MAX) {
            pack_bytes(out, span_of(address));
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
