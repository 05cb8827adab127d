#include "relay/reply.h"
#include "tests/fuzz/fuzz.h"

void fuzz_reply(struct span in)
{
    struct reply r;
    size_t octets = 0;
    reply_begin(&r);
    for (;;) {
        size_t used = 0;
        enum reply_result result = reply_take(&r, in, &used);
        fuzz_check(used <= in.n, "reply: read past its end");
        octets += used;
        in = span_from(in, used);
        fuzz_check(result == REPLY_BAD ||
                       (octets <= REPLY_OCTETS_MAX && r.n_lines <= REPLY_LINES_MAX),
                   "reply: unbounded");
        if (result == REPLY_LINE && used > 0)
            continue;
        if (result == REPLY_DONE)
            fuzz_check(r.code >= 200 && r.code <= 599, "reply: no code");
        break;
    }
    struct span text = reply_text(&r);
    for (size_t i = 0; i < text.n; i++)
        fuzz_check(text.p[i] >= ' ' && text.p[i] < 0x7f, "reply: a control octet in its text");
}
