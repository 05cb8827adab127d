/* Between verify.c and its children: one question at a time over a SOCK_SEQPACKET pair. Both ends
 * are this program, but what comes is still read with bounds. */
#ifndef BARID_AUTHD_VERIFY_CHILD_H
#define BARID_AUTHD_VERIFY_CHILD_H

#include "authd/verify.h"
#include "common/pack.h"

/* u8 op, bytes hash, bytes salt, u32 iterations, bytes password */
#define VERIFY_ASK_MAX (32 + USERS_HASH_MAX + SCRAM_SALT_OCTETS + PASSWORD_MAX)
/* u8 result, bytes hash, bytes stored key, bytes server key */
#define VERIFY_ANSWER_MAX (32 + USERS_HASH_MAX + 2 * SCRAM_KEY_OCTETS)

enum verify_op { VERIFY_OP_CHECK = 1, VERIFY_OP_HASH = 2 };

/* The life of a child; returns its exit status. */
int verify_child(int fd, const struct verify_spec *spec);

#endif
