#include "relay/offer.h"

#include "common/sasl.h"

static unsigned mechanisms(struct span names)
{
    unsigned set = 0;
    while (names.n > 0) {
        enum sasl_mechanism m = sasl_find(span_cut(&names, ' '), SASL_UNBOUND);
        set |= m < SASL_MECHANISMS ? SASL_BIT(m) : 0;
    }
    return set;
}

void offer_learn(struct offer *o, struct span line)
{
    struct span word = span_cut(&line, ' ');
    uint64_t n;
    if (span_ieq(word, SPAN("PIPELINING"))) {
        o->has_pipelining = true;
    } else if (span_ieq(word, SPAN("8BITMIME"))) {
        o->has_8bitmime = true;
    } else if (span_ieq(word, SPAN("STARTTLS"))) {
        o->has_starttls = true;
    } else if (span_ieq(word, SPAN("SMTPUTF8"))) {
        o->has_utf8 = true;
    } else if (span_ieq(word, SPAN("REQUIRETLS"))) {
        o->has_requiretls = true;
    } else if (span_ieq(word, SPAN("DSN"))) {
        o->has_dsn = true;
    } else if (span_ieq(word, SPAN("AUTH"))) {
        o->auth |= mechanisms(line);
    } else if (span_ieq(word, SPAN("SIZE"))) {
        o->has_size = true;
        o->size_max = span_u64(span_trim(line), &n) == 0 ? n : 0;
    }
}
