#include "common/addr.h"
#include "common/config.h"
#include "common/content.h"
#include "common/line.h"
#include "common/log.h"
#include "common/proto.h"
#include "common/proxy.h"
#include "common/seal.h"
#include "tests/fuzz/fuzz.h"

/* What was accepted must read back as itself: one validator, one form. */
void fuzz_addr(struct span in)
{
    static const enum addr_form forms[] = {ADDR_REVERSE_PATH, ADDR_FORWARD_PATH, ADDR_MAILBOX};
    for (size_t i = 0; i < 3; i++) {
        struct addr a, again;
        size_t used = 0;
        if (addr_parse(in, forms[i], &a, &used) < 0)
            continue;
        fuzz_check(used <= in.n, "addr: read past its end");
        fuzz_check(strpbrk(a.text, "\r\n") == NULL, "addr: a line end in an address");
        if (a.is_null || a.domain[0] == '\0')
            continue;
        fuzz_check(addr_parse(span_of(a.text), ADDR_MAILBOX, &again, &used) == 0,
                   "addr: its own text is refused");
        fuzz_check(strcmp(a.text, again.text) == 0, "addr: not canonical");
    }
}

void fuzz_config(struct span in)
{
    struct config_problems problems = {0};
    struct config *c = config_parse(in, "fuzz", &problems);
    fuzz_check(c != NULL || problems.n > 0, "config: refused without a word");
    fuzz_check((c == NULL) == (problems.n_errors > 0), "config: errors and result differ");
    config_free(c);
    config_problems_free(&problems);
}

static void scan(struct span in, size_t piece, struct content_scan *s)
{
    content_begin(s);
    for (struct span left = in; left.n > 0;) {
        size_t n = left.n < piece ? left.n : piece;
        content_add(s, (struct span){left.p, n});
        left = span_from(left, n);
    }
    content_end(s);
}

/* Any splitting gives the same facts, and they are those of a plain look. */
void fuzz_content(struct span in)
{
    struct content_scan whole, pieces;
    scan(in, SIZE_MAX, &whole);
    for (size_t piece = 1; piece <= 3; piece++) {
        scan(in, piece, &pieces);
        fuzz_check(whole.octets == pieces.octets && whole.flags == pieces.flags &&
                       whole.is_damaged == pieces.is_damaged &&
                       (whole.is_damaged || whole.header == pieces.header),
                   "content: splitting matters");
    }
    bool is_bad = in.n == 0 || in.p[in.n - 1] != '\n';
    for (size_t i = 0; i < in.n; i++) {
        bool is_cr = in.p[i] == '\r', is_lf = in.p[i] == '\n';
        is_bad = is_bad || in.p[i] == '\0' || (is_cr && (i + 1 == in.n || in.p[i + 1] != '\n')) ||
                 (is_lf && (i == 0 || in.p[i - 1] != '\r'));
    }
    if (in.n > 0) /* nothing at all is the caller's decision */
        fuzz_check(whole.is_damaged == is_bad, "content: damage judged wrongly");
}

void fuzz_line(struct span in)
{
    struct span line;
    size_t used;
    if (line_take(in, 64, &line, &used) != LINE_OK)
        return;
    fuzz_check(used <= 64 && used == line.n + 2, "line: over its bound");
    fuzz_check(memchr(line.p, '\r', line.n) == NULL && memchr(line.p, '\n', line.n) == NULL,
               "line: holds a line end");
}

void fuzz_log(struct span in)
{
    char out[128];
    for (size_t cap = 0; cap <= sizeof out; cap += 7) {
        size_t n = log_escape(out, cap, in);
        fuzz_check(n <= cap, "log: over its bound");
        for (size_t i = 0; i < n; i++)
            fuzz_check(out[i] >= ' ' && out[i] < 0x7f, "log: a control octet");
    }
}

/* What unpacks packs into the same octets: nothing is ignored, nothing has two forms. */
void fuzz_proto(struct span in)
{
    static char out[IPC_MAX];
    enum msg_type type;
    union msg m;
    if (proto_unpack(in, &type, &m) < 0)
        return;
    size_t n = proto_pack(out, sizeof out, type, &m);
    fuzz_check(n == in.n && memcmp(out, in.p, n) == 0, "proto: not the same back");
}

/* Whatever is cut off its end, a header does not become another one. */
void fuzz_proxy(struct span in)
{
    struct netaddr peer = {.n = 0}, again = {.n = 0};
    size_t used = 0, used_again = 0;
    if (proxy_parse(in, &peer, &used) != PROXY_DONE)
        return;
    fuzz_check(used <= in.n && used <= PROXY_MAX, "proxy: over its bound");
    fuzz_check(proxy_parse((struct span){in.p, used}, &again, &used_again) == PROXY_DONE &&
                   used_again == used && netaddr_eq(&peer, &again),
               "proxy: what follows matters");
    fuzz_check(proxy_parse((struct span){in.p, used - 1}, &again, &used_again) == PROXY_MORE,
               "proxy: done too early");
}

void fuzz_seal(struct span in)
{
    static const unsigned char key[SEAL_KEY_OCTETS] = {1};
    struct unpacker r, records = unpacker_on(in);
    struct rcpt rcpt;
    fuzz_check(seal_open(in, SPAN("a@example.org"), key, 1000, &r) < 0, "seal: forged");
    while (rcpt_next(&records, &rcpt))
        fuzz_check(rcpt.address.n <= ADDRESS_MAX && rcpt.sealed.n <= SEALED_MAX,
                   "rcpt: over its bound");
}
