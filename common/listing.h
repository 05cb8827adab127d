/* The listing of a mailbox, as mailbox hands it to pop3d: a sealed memory file, mapped read-only,
 * so that a million messages are neither sent one after the other nor copied for each session.
 *
 * The file is an array of entries in the order of their sequence numbers, then the text of those
 * UIDLs that are not ids. It is made once and then cannot be changed, not even by who made it; a
 * reader checks the seals, so that nothing it mapped can move or vanish under it, and all entries
 * before it believes one. An empty mailbox has no file. */
#ifndef BARID_LISTING_H
#define BARID_LISTING_H

#include "common/id.h"

/* A larger mailbox shows its first million; the others come after some of these are deleted. */
#define LISTING_MAX      1000000
#define LISTING_UIDL_MAX 70 /* RFC 1939 7 */

struct listing_entry {
    uint64_t sequence; /* its name in the mailbox */
    uint64_t id;       /* its name everywhere else */
    uint64_t octets;   /* as RETR sends them, before dots are doubled */
    uint32_t uidl_at;  /* in the text */
    uint32_t uidl_n;   /* 0: its UIDL is its id */
};

struct listing {
    const struct listing_entry *list;
    size_t n;
    struct span text;
    uint64_t octets; /* of all */
    void *map;
    size_t map_n;
};

/* An empty memory file to be written and then sealed. -1: no memory, no descriptors. */
int listing_create(void);
int listing_seal(int fd);
/* Maps and checks a file of n entries and so many octets of text; fd stays the caller's. 0, or -1:
 * it is not what it should be, or memory is out. */
int listing_map(struct listing *l, int fd, uint64_t n, uint64_t text_n);
void listing_unmap(struct listing *l); /* empties it; it may be used again */
/* Points into the listing or into room. */
struct span listing_uidl(const struct listing *l, const struct listing_entry *e,
                         char room[ID_TEXT]);
/* 1 to 70 characters from ! to ~ (RFC 1939 7). */
bool listing_is_uidl(struct span s);

#endif
