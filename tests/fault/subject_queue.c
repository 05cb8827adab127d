/* The queue: mail to mailboxes and elsewhere, mail that is refused, deletions. The ledger knows. */
#include "tests/fault/disk.h"
#include "tests/fault/subject.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include "common/verdict.h"

#include <limits.h>

static struct ledger ledger;

static void lay_out(const char *state, const char *template)
{
    (void)template;
    ledger = (struct ledger){0};
    chance_begin(tap_seed()); /* the same day each time */
    play_layout(state);
}

static int day(struct play *q)
{
    int rc = work_begin(q, &ledger);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = work_letters(q, &ledger, 8);
        if (rc == 0)
            rc = work_removals(q, &ledger);
    }
    return rc;
}

/* What a queue that ended by an I/O error said "later" to may be on its disk all the same. */
static void evening(bool is_clean)
{
    for (size_t i = 0; i < ledger.n_letters && !is_clean; i++)
        if (ledger.letters[i].verdict == VERDICT_TRY_LATER &&
            ledger.letters[i].kind < LETTER_ABORTED)
            ledger.letters[i].answered = NEVER;
}

static void again(struct play *q)
{
    if (work_begin(q, &ledger) < 0 || work_proof(q, &ledger) < 0)
        subject_complain("afterwards, work");
}

static unsigned stopped(const char *state)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/queue", state);
    return ledger_check(&ledger, dir, NEVER - 1);
}

const struct subject subject_queue = {.role = ROLE_QUEUE,
                                      .peers = WORK_PEERS,
                                      .config = WORK_CONFIG,
                                      .sample = 8,
                                      .lay_out = lay_out,
                                      .day = day,
                                      .evening = evening,
                                      .again = again,
                                      .stopped = stopped};
