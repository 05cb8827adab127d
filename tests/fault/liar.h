/* What a sibling says that was taken over: every row of the table, allowed or not, whole, cut,
 * lengthened, changed, with descriptors that do not belong there. All of it is made from the table,
 * so a new row is said, too. */
#ifndef BARID_TESTS_FAULT_LIAR_H
#define BARID_TESTS_FAULT_LIAR_H

#include "tests/fault/play.h"

struct lie {
    enum msg_type type;
    const char *what;
    char octets[IPC_MAX + 1];
    size_t n;
    int fd; /* -1, or a descriptor that stays the liar's */
};

/* May this process say that to that one? */
bool liar_may(enum role from, enum msg_type type, enum role to);
/* A plausible value for every field. The octets written to out, of IPC_MAX. */
size_t liar_pack(enum msg_type type, char *out);
/* Changes some bits of what follows the first `keep` octets. */
void liar_change(char *octets, size_t n, size_t keep);
/* A descriptor of any kind, which stays the liar's. None of them can make a reader wait. */
int liar_fd(void);
/* How many of them there are, made and open. */
#define LIAR_FDS 5

/* The kth of all that must cost `from` its channel to `to`. False: it is none. */
#define LIES_PER_TYPE 6
#define LIES          ((size_t)MSG_TYPES * LIES_PER_TYPE)
bool liar_forbidden(size_t k, enum role from, enum role to, struct lie *l);

/* For play_spoil. liar_begin says who lies to whom; what others say is not touched.
 * liar_spoil: his answers are true as often as not; they keep type and tag, so they do answer.
 * liar_interpose: his next message (but HELLO) is what liar_say_instead was given, once. */
void liar_begin(const struct play *owner, enum role sibling);
play_spoil_fn liar_spoil, liar_interpose;
void liar_say_instead(const struct lie *l); /* which stays valid until then */
bool liar_has_said(void);

#endif
