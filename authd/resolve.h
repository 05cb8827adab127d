/* Who is this address, and where does mail for it go? Answered from the directory alone, in
 * microseconds. The order for an address whose domain is ours; the first that is there decides:
 *
 *   0. a sender that we gave to mail we sent on (srs.h): who stands in it; for null senders only
 *   1. a user of exactly this address (a disabled user cannot log in, but still gets mail): his
 *      mailbox, or where his mail is sent on. What leads back to him there, or nowhere, stays in
 *      his mailbox
 *   2. an alias of exactly this address
 *   3. with a tag ("user+tag", not in quoted local parts): 1 and 2 for the address without it
 *   4. nobody, if it looks like 0 but is forged or too old
 *   5. "postmaster" (RFC 5321 4.5.1): where `domain add --postmaster` sends it, if that leads
 * anywhere
 *   6. the catch-all "@domain"
 *   7. "postmaster" again, and "mailer-daemon", which reports come from: the postmaster of
 *      directory_default_domain, else of the first domain that has one (is_borrowed)
 *   8. nobody: ADDRESS_UNKNOWN
 *
 * "postmaster" without a domain is that of directory_default_domain, with all its steps. A domain
 * that is not ours, and any address literal, is ADDRESS_FOREIGN; but 7 holds for hostname, too.
 * Case never matters.
 *
 * An alias LIST@domain is a list with an owner if there is a user or an alias owner-LIST@domain, of
 * the same domain: he stands with the targets elsewhere (RFC 5321 3.9.2).
 *
 * Targets of an alias are resolved in the same way; foreign ones stay addresses. What leads nowhere
 * is left out, what comes twice is taken once, a loop is cut where it closes. An alias none of
 * whose targets leads anywhere is nobody. */
#ifndef BARID_AUTHD_RESOLVE_H
#define BARID_AUTHD_RESOLVE_H

#include "authd/directory.h"
#include "common/seal.h"

#define RESOLVE_TARGETS_MAX 256
#define RESOLVE_ALIASES_MAX 256 /* opened on the way */
#define RESOLVE_DEPTH_MAX   16  /* an alias of an alias of … */

struct resolved {
    enum address_kind kind;
    bool is_too_large;                          /* over one of the bounds above: could not decide */
    bool has_loop;                              /* an alias led back to itself */
    bool has_dead_end;                          /* a target led nowhere */
    bool is_borrowed;                           /* the postmaster of another domain */
    bool has_quota;                             /* a mailbox among the targets has one */
    bool is_return;                             /* a sender that srs.h made */
    struct target targets[RESOLVE_TARGETS_MAX]; /* LOCAL: at least one; spans of the directory */
    size_t n_targets;
    /* private */
    struct span owner;          /* of the innermost list that is open; empty: none has one */
    char returned[ADDRESS_MAX]; /* who stands in a sender of srs.h */
    struct {
        const struct alias *alias;
        bool is_open; /* its targets are being resolved */
        bool leads_somewhere;
        bool is_cut; /* what it leads to led back to who was being resolved */
    } opened[RESOLVE_ALIASES_MAX];
    size_t n_opened;
    bool wants_owners;
};

/* `address` is the text of a path without <>, in any case of letters. */
void resolve(const struct directory *d, struct span address, struct resolved *out);
/* Whose address is it? As above, but users are users wherever their mail is sent on. */
void resolve_owners(const struct directory *d, struct span address, struct resolved *out);
/* The alias of this address, with or without a tag; no user's, no catch-all, no postmaster of
 * `domain add`.
 * NULL: none. *is_ours: its domain is. */
const struct alias *resolve_list(const struct directory *d, struct span address, bool *is_ours);
/* 0 and the sealed octets (in s; none unless LOCAL), or -1: too large for a seal, could not decide.
 */
int resolve_seal(const struct resolved *r, struct span rcpt,
                 const unsigned char key[SEAL_KEY_OCTETS], struct sealer *s, struct span *sealed);

/* The form that the directory keeps: canonical, lower case, normal form C. `out` has ADDRESS_MAX
 * octets. 0, or -1: not an address. is_catch_all: "@domain" is allowed too. */
int resolve_canonical(struct span text, bool is_catch_all, char *out);
/* A domain name as the directory keeps it: A-labels, lower case. `out` has DOMAIN_MAX + 1 octets.
 * 0, or -1. */
int resolve_domain(struct span text, char *out);
struct span resolve_domain_of(struct span address); /* what follows the last '@'; empty without */

#endif
