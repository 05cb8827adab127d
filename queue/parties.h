/* Who is told about what: for a recipient elsewhere, with which sender it goes out, who reads the
 * reports about it, what was asked for them, and of what they may tell at all. One table answers
 * (doc/QUEUE.md has it in words); who accepts, sends, warns and reports asks here.
 *
 * RFC 3461 5.2.7 says what of a wish goes with the copies an address of ours makes; RFC 5321 3.9.2
 * whose the errors of a list are, 4.5.5 that nobody is told about mail with a null sender. Nothing
 * here allocates or fails; spans point into what was given. */
#ifndef BARID_QUEUE_PARTIES_H
#define BARID_QUEUE_PARTIES_H

#include "common/notify.h"
#include "common/seal.h"
#include "queue/store.h"

struct parties {
    struct span sender; /* the reverse-path it goes out with; empty: the null one */
    struct span reader; /* of reports about it; empty: nobody */
    bool is_asked;      /* the next two, and a hold (RFC 4865), are the reader's: he sent it */
    struct span envid;  /* as its client encoded it, or empty */
    uint8_t ret;        /* enum ret */
    uint8_t news;       /* bits of enum notify: what the reader may be told, if he wants it */
};

/* `path`: recipient.sender, the reverse-path of the recipient's own; empty: it has none. */
struct parties parties_of(const struct message *m, struct span path);
/* The first field alone, of the senders of a message and of a recipient. */
struct span parties_sender(struct span sender, struct span path);
/* May the reader hear of this, and does he want to? notify: of the recipient. */
bool parties_tell(const struct parties *p, uint8_t notify, enum notify what);

/* What stands behind an address of ours: a mailbox, elsewhere, and of these by lists with an owner.
 */
struct behind {
    size_t boxes, remotes, owned;
};
/* The recipient that a target elsewhere of `named` becomes, with what of its wishes goes on. Its
 * ORCPT may be written to `orcpt`. */
struct rcpt parties_behind(const struct rcpt *named, const struct behind *all,
                           const struct target *to, char orcpt[ORCPT_MAX + 1]);
/* What we tell of `named` itself, if its sender asked to be told of success; DONE_NOT: nothing, as
 * his wish went on to its only target. */
enum rcpt_deed parties_deed(const struct rcpt *named, const struct behind *all);

#endif
