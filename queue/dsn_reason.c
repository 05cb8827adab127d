#include "queue/dsn_reason.h"

const char *dsn_reason(struct span status)
{
    static const struct {
        const char *code; /* behind the class */
        const char *sentence;
    } rows[] = {
        {"1.1", "There is no such mailbox."},
        {"1.2", "There is no such domain: what stands behind the @ may be misspelt."},
        {"1.3", "The address is not one that mail can be sent to."},
        {"1.6", "The mailbox has moved, and nobody says where to."},
        {"1.10", "This domain takes no mail at all."},
        {"2.1", "The mailbox is not in use now."},
        {"2.2", "The mailbox is full."},
        {"2.3", "The message is too large for this mailbox."},
        {"3.4", "The message is too large for the server there."},
        {"4.1", "The server there did not answer."},
        {"4.4", "It is not known which server takes mail for this domain."},
        {"4.6", "The mail went round in a circle."},
        {"6.7", "The server there does not take addresses or headers in these letters."},
        {"7.1", "The server there refuses it, perhaps as it looks like unwanted mail."},
        {"7.30", "It could not be sent on as safely as you asked."},
    };
    struct span code = span_from(status, status.n < 2 ? status.n : 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (span_eq(code, span_of(rows[i].code)))
            return rows[i].sentence;
    return NULL;
}
