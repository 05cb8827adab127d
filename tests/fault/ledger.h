/* What was asked of a queue and what it answered, and the comparison with what it has on disk after
 * a crash: every message it said yes to is there once, octet by octet; nothing it refused is; no
 * file is left over; a deletion was done as a whole or not at all. */
#ifndef BARID_TESTS_FAULT_LEDGER_H
#define BARID_TESTS_FAULT_LEDGER_H

#include "common/proto.h"
#include "common/seal.h"
#include "tests/fault/trace.h"

#define LEDGER_BOXES    4
#define LEDGER_MESSAGES 4000
#define NEVER           SIZE_MAX

extern const unsigned char ledger_key[SEAL_KEY_OCTETS];

enum letter_kind {
    LETTER_LOCAL,   /* to mailboxes */
    LETTER_REMOTE,  /* to one address elsewhere */
    LETTER_ABORTED, /* never completed */
    LETTER_DAMAGED, /* a bare LF: to be refused */
    LETTER_FORGED,  /* a seal of somebody else's: to be refused */
    LETTER_KINDS
};

/* Times are positions in a trace, or 0 for "it happened"; NEVER for "not". */
struct letter {
    enum letter_kind kind;
    uint64_t id, tag, size;
    unsigned boxes;                  /* bits */
    uint64_t sequence[LEDGER_BOXES]; /* in each of them */
    size_t removal[LEDGER_BOXES];    /* index of the removal, or NEVER */
    size_t asked, answered, relayed;
    uint8_t verdict, reason;
};

struct removal {
    uint64_t tag;
    unsigned box;
    size_t asked, answered;
    uint8_t verdict;
};

struct ledger {
    struct letter letters[LEDGER_MESSAGES];
    size_t n_letters;
    struct removal removals[LEDGER_MESSAGES];
    size_t n_removals;
    size_t old_letters, old_removals; /* of processes before: nobody answers them any more */
    uint64_t last_tag, next_sequence[LEDGER_BOXES];
    struct {
        uint64_t tag;
        size_t letter;
    } jobs[LEDGER_MESSAGES]; /* of the relay */
    size_t n_jobs;
};

/* The octets of a letter: `size` of them; damaged ones get a bare LF. */
void ledger_content(const struct letter *l, char *out);
struct letter *ledger_letter(struct ledger *l, uint64_t id);  /* or NULL */
struct letter *ledger_by_tag(struct ledger *l, uint64_t tag); /* or NULL */
/* Finds in a record at this position of the trace what it says about the ledger. */
void ledger_locate(struct ledger *l, size_t at, const struct trace_record *r, const char *octets);
/* Compares with the stopped queue in `dir`, at a position of the trace. The number of differences,
 * which are printed. */
unsigned ledger_check(struct ledger *l, const char *dir, size_t now);

#endif
