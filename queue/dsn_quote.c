/* What was said at an attempt, as a notification shows it. */
#include "queue/dsn.h"

#include "common/clock.h"

#define QUOTE_MAX       3500 /* octets of one dialogue that are shown: the last ones */
#define OTHERS_MAX      64
#define LINE_MAX_OCTETS 400 /* no attempt has longer ones; a damaged store may */

static const struct span rcpt_to = {"> RCPT TO:<", 11};

/* The recipients that were named in it and that the notification is not about. */
struct others {
    struct span list[OTHERS_MAX];
    size_t n;
    bool is_cut;  /* there are more */
    bool is_mail; /* the lines that come now are of the mail, not of greetings */
};

/* What stands behind the time: "> RCPT TO:<a@example.org>". */
static struct span words_of(struct span line)
{
    span_cut(&line, ' ');
    return line.p != NULL ? line : SPAN("");
}

static bool is_told_about(const struct dsn *d, struct span address)
{
    struct span rest = buf_span(&d->about);
    while (rest.n > 0)
        if (span_ieq(span_cut(&rest, '\n'), address))
            return true;
    return false;
}

static void find_others(const struct dsn *d, struct span text, struct others *o)
{
    o->n = 0;
    o->is_cut = o->is_mail = false;
    while (text.n > 0) {
        struct span words = words_of(span_cut(&text, '\n'));
        if (!span_starts(words, rcpt_to))
            continue;
        struct span rest = span_from(words, rcpt_to.n);
        struct span address = span_cut(&rest, '>');
        if (address.n == 0 || is_told_about(d, address))
            continue;
        if (o->n < OTHERS_MAX)
            o->list[o->n++] = address;
        else
            o->is_cut = true;
    }
}

static bool holds(struct span s, struct span what)
{
    for (; s.n >= what.n; s = span_from(s, 1))
        if (span_istarts(s, what))
            return true;
    return false;
}

/* Servers repeat addresses, the whole or a part, mostly when they take one. */
static bool may_tell_of_others(struct span words, const struct others *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (holds(words, o->list[i]))
            return true;
    bool is_taken = o->is_mail && o->n > 0 && span_starts(words, SPAN("< 2"));
    return is_taken || (o->is_cut && !span_starts(words, SPAN("=")));
}

/* What is left of a line that is hidden: "> RCPT TO", or the code of a reply. */
static size_t harmless(struct span words)
{
    if (span_starts(words, SPAN("> RCPT TO")))
        return SPAN("> RCPT TO").n;
    return words.n > 5 ? 5 : words.n;
}

static void add_line(struct buf *out, struct span line, struct others *o)
{
    struct span words = words_of(line);
    struct span time = {line.p, line.n - words.n};
    o->is_mail |= span_starts(words, SPAN("> MAIL"));
    bool is_hidden = may_tell_of_others(words, o);
    struct span shown = {words.p, is_hidden ? harmless(words) : words.n};
    char *room = buf_room(out, line.n + 40);
    if (room == NULL)
        return;
    int n = snprintf(room, line.n + 40, "    %.*s%.*s%s\r\n", (int)time.n, time.p, (int)shown.n,
                     shown.p, is_hidden ? " [of others]" : "");
    for (int i = 0; i < n - 2; i++)
        if (room[i] < ' ' || room[i] > '~')
            room[i] = '?';
    buf_grew(out, n > 0 ? (size_t)n : 0);
}

/* Whole lines from the end, as many as fit. */
static struct span last_lines(struct span text)
{
    if (text.n <= QUOTE_MAX)
        return text;
    text = span_from(text, text.n - QUOTE_MAX);
    span_cut(&text, '\n');
    return text;
}

void dsn_quote(struct dsn *d, const struct dsn_dialogue *dialogue)
{
    char when[CLOCK_TEXT_MAX];
    struct others others;
    struct span text = last_lines(dialogue->text);
    if (buf_span(&d->experts).n == 0)
        buf_addf(
            &d->experts,
            "The rest of this part is for experts: what was said at the last attempt, behind\r\n"
            "the milliseconds since its beginning (> by this server, < by the other one,\r\n"
            "= a remark).\r\n\r\n");
    find_others(d, dialogue->text, &others);
    others.is_mail = text.n < dialogue->text.n;
    clock_rfc5322(when, dialogue->began);
    buf_addf(&d->experts, "  %s%s\r\n", when, text.n < dialogue->text.n ? ", the end of it" : "");
    while (text.n > 0) {
        struct span line = span_cut(&text, '\n');
        add_line(&d->experts,
                 (struct span){line.p, line.n < LINE_MAX_OCTETS ? line.n : LINE_MAX_OCTETS},
                 &others);
    }
    buf_addf(&d->experts, "\r\n");
}
