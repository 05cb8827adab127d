/* The parts of `barid explain`: explain.c judges as a server would, explain_way.c finds out where
 * accepted mail would go. */
#ifndef BARID_EXPLAIN_H
#define BARID_EXPLAIN_H

#include "cli/cli.h"
#include "common/addr.h"
#include "common/admission.h"

struct explain {
    struct cli *cli;
    enum listen_kind kind; /* of the listener that would be spoken to */
    struct netaddr client; /* n 0: a stranger */
    struct addr from, to;
    uint64_t size;
    bool has_login;
    struct rows authd; /* what it says about the recipient and the login */
    struct rows shown; /* aliases, mailboxes, remote, hops, unknown */
    /* The verdict: of the first step that refuses, else of the last. */
    enum admission verdict;
    char reply[600], command[ADDRESS_MAX + 40], rule[ADDRESS_MAX + 400];
    size_t line; /* of the configuration; 0: a default, or no setting */
};

/* A row of a group for the document; what does not fit in memory is left out. */
void explain_show(struct explain *x, const char *group, struct admin_row *r);
/* Something that counts and could not be looked at. */
void explain_unknown(struct explain *x, const char *about, const char *why);
/* Where a setting was set. */
size_t explain_line(const struct explain *x, const char *section, const char *key);

/* The recipient of a domain that is taken for another host (backup_mx): queue's answer, and why. */
struct msg_queue_room_re explain_backup(struct explain *x, const char **why);

/* Shows the targets that authd named. The answer of queue about all mailboxes together. */
struct msg_queue_room_re explain_way(struct explain *x);

int explain_main(struct cli *cli);

#endif
