/* What the sender of a message asks to be told about it (RFC 3461): the values of NOTIFY, RET,
 * ENVID and ORCPT. smtpd reads them, queue keeps them and does what they ask, relay passes them on.
 * Nothing here allocates. */
#ifndef BARID_NOTIFY_H
#define BARID_NOTIFY_H

#include "common/proto.h"

/* As the client encoded them (RFC 3461 4.2, 4.4). */
#define ENVID_MAX ENVELOPE_ID
#define ORCPT_MAX 500

/* The bits of NOTIFY. None of them: nothing was asked, then failures and delays are told. */
enum notify {
    NOTIFY_SUCCESS = 1,
    NOTIFY_FAILURE = 2,
    NOTIFY_DELAY = 4,
    NOTIFY_NEVER = 8, /* alone */
    NOTIFY_ALL = 15,
};

/* RET: what of the message a report shows. */
enum ret {
    RET_DEFAULT = 0, /* not asked */
    RET_FULL = 1,
    RET_HDRS = 2,
};

/* "SUCCESS,FAILURE" in any case of letters, each once. 0, or -1. */
int notify_parse(struct span value, uint8_t *out);
/* The same back; out is "" if nothing was asked. */
#define NOTIFY_TEXT 32
void notify_format(char out[NOTIFY_TEXT], uint8_t notify);
/* A set that a peer or the database may have: NEVER alone, no other bits. */
bool notify_is_sane(uint64_t notify);
/* Should the sender hear of this? */
static inline bool notify_wants(uint8_t notify, enum notify what)
{
    return notify == 0 ? what == NOTIFY_FAILURE || what == NOTIFY_DELAY : (notify & what) != 0;
}

/* xtext (RFC 3461 4). The decoded octets, at most in.n of them, go to `out`; all of them are
 * printable ASCII or spaces. The number, or -1: not xtext, or it hides something else. */
ssize_t xtext_decode(struct span in, char *out);
/* Encodes printable ASCII: at most 3 * in.n octets and a NUL. -1: something else, or no room. */
ssize_t xtext_encode(struct span in, char *out, size_t cap);

/* A value of ENVID: xtext, 1 to ENVID_MAX octets. */
bool envid_is_valid(struct span value);
/* A value of ORCPT, "addr-type;xtext", at most ORCPT_MAX octets. The address of the type "utf-8"
 * has an encoding of its own (RFC 6533 3). */
bool orcpt_is_valid(struct span value);
/* Reads one as it comes in a transaction with SMTPUTF8 and makes it valid in the above sense: the
 * address may stand there in UTF-8 itself (RFC 6533 3, utf-8-addr-unitext), or as xtext of UTF-8
 * with the type "rfc822", as Postfix writes it; both become utf-8-addr-xtext. -1: it is none, or
 * too long then. */
int orcpt_read(struct span value, char out[ORCPT_MAX + 1]);
/* An address in UTF-8 as utf-8-addr-xtext (RFC 6533 3): ASCII, at most 6 * in.n octets and a NUL.
 * -1: no room, or no UTF-8. */
ssize_t utf8_addr_encode(struct span in, char *out, size_t cap);
/* As a report shows it, "type; address" (RFC 3464 2.3.1): at most ORCPT_MAX + 1 octets and a NUL.
 * -1: not valid. */
ssize_t orcpt_show(struct span value, char out[ORCPT_MAX + 2]);
/* Its address as people write it, if it is one of mail ("rfc822" or "utf-8"): at most ORCPT_MAX
 * octets of UTF-8 and a NUL. -1: it is not, or not valid. */
ssize_t orcpt_address(struct span value, char out[ORCPT_MAX + 1]);

#endif
