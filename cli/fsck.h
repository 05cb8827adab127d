/* What `barid fsck` found, one row for each thing that is wrong, and how it is told. */
#ifndef BARID_FSCK_H
#define BARID_FSCK_H

#include "cli/cli.h"
#include "cli/progress.h"

#define FSCK_FINDINGS_MAX 1000 /* are listed; more are counted */

struct fsck_counts {
    uint64_t messages, octets, mailboxes, recipients, files;
};

struct fsck {
    struct cli *cli;
    bool is_running;    /* the daemons */
    struct rows users;  /* in the order of their boxes */
    struct rows found;  /* as mailbox/check.h has them, or authd */
    uint64_t n_found;   /* with those that are not in `found` */
    uint64_t *suspects; /* mailboxes whose user was not there when we looked */
    size_t n_suspects, cap_suspects;
    struct fsck_counts counts;
    struct progress progress;
    uint64_t done; /* for it */
    struct error error;
};

/* Looks at everything: fills users, found and counts. 0, or -1 and f->error: it could not. */
int fsck_look(struct fsck *f);
void fsck_forget(struct fsck *f); /* what was found */
/* The user of a mailbox, or an empty span. */
struct span fsck_user(const struct fsck *f, int64_t box);
/* What a row of `found` says under this name; empty, 0. */
struct span fsck_text(const struct row *r, const char *name);

#endif
