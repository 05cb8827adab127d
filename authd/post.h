/* Lists: aliases with a rule about who may send to them (`barid alias post`). */
#ifndef BARID_AUTHD_POST_H
#define BARID_AUTHD_POST_H

#include "authd/directory.h"

struct post {
    enum post_rule rule;
    bool is_member; /* the sender, if the rule asks for it */
};

const char *post_word(enum post_rule rule);
/* 0, or -1: there is no such rule. */
int post_read(struct span word, enum post_rule *rule);
/* Of a recipient as RCPT names it and a sender as MAIL does; anyone, if it is no list. */
struct post post_of(const struct directory *d, struct span address, struct span sender);

#endif
