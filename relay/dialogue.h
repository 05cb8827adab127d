/* What was said in one attempt, kept for people: `barid trace` and the bounce quote it. One line
 * for each event:
 *
 *   "12 < 250 2.1.5 ok\n"    milliseconds since the attempt began, who, the words
 *
 * '>' is what we said, '<' what the server said, '=' a remark of ours (connected, TLS, content of
 * so many octets). Words are cut and made printable ASCII here, as the server chose them. It never
 * holds content or passwords: who records says "[hidden]" in their place.
 *
 * At most DIALOGUE_MAX octets, whatever comes: the beginning and the end stay, and a remark says
 * what was left out between them. Without memory lines are missing, and nothing else happens. */
#ifndef BARID_RELAY_DIALOGUE_H
#define BARID_RELAY_DIALOGUE_H

#include "common/buf.h"
#include "common/proto.h"

#define DIALOGUE_WORDS_MAX 256 /* octets of one line that are kept */

struct dialogue {
    struct buf begin, end; /* `end` is used when `begin` is full */
    bool is_in_end;
    uint64_t n_left_out;
    int64_t mono_ms, wall_ms; /* when the first line was added; 0: there is none */
};

void dialogue_begin(struct dialogue *d);
void dialogue_free(struct dialogue *d);
void dialogue_add(struct dialogue *d, char who, struct span words);
void dialogue_addf(struct dialogue *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* All of it, in `room`; empty: nothing was said. */
struct span dialogue_text(const struct dialogue *d, char room[DIALOGUE_MAX]);

#endif
