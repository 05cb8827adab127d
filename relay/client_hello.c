/* From the greeting until mail can be sent. */
#include "relay/client_state.h"

static void say_hello(struct client *c, enum state next, const char *verb)
{
    char line[sizeof c->hostname + 8];
    snprintf(line, sizeof line, "%s %s\r\n", verb, c->hostname);
    c->offer = (struct offer){0};
    client_say(c, next, line);
}

void client_on_greeting(struct client *c)
{
    if (c->reply.code == 220)
        say_hello(c, EHLO, c->is_lmtp ? "LHLO" : "EHLO");
    else if (c->reply.code / 100 >= 4)
        client_end_by_reply(c, reply_verdict(&c->reply));
    else
        client_out_of_step(c);
}

void client_on_hello(struct client *c)
{
    unsigned class = c->reply.code / 100;
    if (class == 2)
        client_is_ready(c);
    else if (class == 5 && c->state == EHLO && !c->is_lmtp)
        say_hello(c, HELO, "HELO");
    else if (class == 3)
        client_out_of_step(c);
    else
        client_end_by_reply(c, reply_verdict(&c->reply));
}
