/* MTA-STS (RFC 8461): reads what a domain publishes about how its mail servers are to be spoken to.
 * All of it is text of strangers. Pure functions. */
#ifndef BARID_STS_H
#define BARID_STS_H

#include "common/pack.h"
#include "common/proto.h"

#define STS_TEXT_MAX 65536    /* octets of a policy as it is fetched (RFC 8461 3.3) */
#define STS_AGE_MAX  31557600 /* seconds (RFC 8461 3.2) */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE, STS_MODES };
const char *sts_mode_name(enum sts_mode m); /* for any value */

struct sts_policy {
    enum sts_mode mode;
    uint32_t max_age; /* seconds */
    size_t n_mx;
    size_t mx_n; /* octets of mx */
    char mx[STS_MX_OCTETS];
};

/* NULL and *out, or why it is none: a constant. */
const char *sts_parse(struct span text, struct sts_policy *out);
/* The TXT records of _mta-sts (records {bytes}): 0 and the id, or -1: none, several, or damaged. */
int sts_read_records(struct span records, char id[STS_ID_MAX + 1]);
/* Packed patterns that came from a sibling or a store: as sts_parse makes them? */
bool sts_mx_is_sane(struct span packed);
/* Is this host named by one of the patterns (RFC 8461 4.1)? */
bool sts_matches(struct span packed, struct span host);

#endif
