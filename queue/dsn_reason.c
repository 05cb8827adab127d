#include "queue/dsn_reason.h"

/* Who may say it. A server that answers was reached, whatever code it chooses (Exchange Online has
 * 550 5.4.1 for a mailbox that is not there, and 550 5.1.10); 556 is RFC 7504's. */
enum sayer { ANYBODY, WE, WE_OR_556 };

static bool may_say(enum sayer who, struct span said)
{
    return who == ANYBODY || said.n == 0 || (who == WE_OR_556 && span_starts(said, SPAN("556")));
}

const char *dsn_reason(struct span status, struct span said)
{
    static const struct {
        const char *code; /* behind the class */
        bool may_pass;    /* it says the same with the class 4 */
        enum sayer who;
        const char *sentence;
    } rows[] = {
        {"1.1", false, ANYBODY, "There is no such mailbox."},
        {"1.2", false, ANYBODY,
         "There is no such domain: what stands behind the @ may be misspelt."},
        {"1.3", false, ANYBODY, "The address is not one that mail can be sent to."},
        {"1.6", false, ANYBODY, "The mailbox has moved, and nobody says where to."},
        {"1.10", false, WE_OR_556, "This domain takes no mail at all."},
        {"2.1", true, ANYBODY, "The mailbox is not in use now."},
        {"2.2", true, ANYBODY, "The mailbox is full."},
        {"2.3", false, ANYBODY, "The message is too large for this mailbox."},
        {"3.4", false, ANYBODY, "The message is too large for the server there."},
        {"4.1", true, WE, "The server there did not answer."},
        {"4.4", true, WE, "It is not known which server takes mail for this domain."},
        {"4.6", false, ANYBODY, "The mail went round in a circle."},
        {"6.7", false, ANYBODY,
         "The server there does not take addresses or headers in these letters."},
        {"7.1", false, ANYBODY,
         "The server there refuses it, perhaps as it looks like unwanted mail."},
        {"7.30", false, ANYBODY, "It could not be sent on as safely as you asked."},
    };
    bool is_for_now = span_starts(status, SPAN("4."));
    struct span code = span_from(status, status.n < 2 ? status.n : 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (span_eq(code, span_of(rows[i].code)))
            return (is_for_now && !rows[i].may_pass) || !may_say(rows[i].who, said)
                       ? NULL
                       : rows[i].sentence;
    return NULL;
}
