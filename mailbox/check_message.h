/* What can be wrong with one message, its row and its content. */
#ifndef BARID_MAILBOX_CHECK_MESSAGE_H
#define BARID_MAILBOX_CHECK_MESSAGE_H

#include "mailbox/check_store.h"

enum flaw {
    FLAW_NONE,
    FLAW_ROW,     /* not what could have been written */
    FLAW_MISSING, /* no content */
    FLAW_CONTENT, /* not what was accepted */
    FLAW_FACTS,   /* the content is right; what is noted of its lines is not */
    FLAW_NOBODY,  /* in no mailbox and for no recipient */
};

enum flaw check_message(const struct check_message *m);
const char *flaw_word(enum flaw f); /* "content" */
const char *flaw_text(enum flaw f); /* for people */
/* Text of an envelope: at most so long, and in one line. */
bool check_is_line(struct span s, size_t max);

#endif
