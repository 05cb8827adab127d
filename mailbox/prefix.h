/* The Return-Path field that stands in front of a message when it is handed out (RFC 5321 4.4). */
#ifndef BARID_MAILBOX_PREFIX_H
#define BARID_MAILBOX_PREFIX_H

#include "mailbox/store.h"

#define PREFIX_MAX (ADDRESS_MAX + 32)

/* Points into out, or is empty: the message has none. */
struct span prefix_make(char out[PREFIX_MAX], const struct store_message *m);

#endif
