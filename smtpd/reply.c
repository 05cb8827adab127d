#include "smtpd/reply.h"

static const struct reply_desc table[REPLY_COUNT] = {
#define REPLY_ROW(NAME, code_, enhanced_, flags_, text_)                                           \
    [R_##NAME] = {.code = code_, .enhanced = enhanced_, .flags = flags_, .text = text_},
    REPLIES(REPLY_ROW)
#undef REPLY_ROW
};

const struct reply_desc *reply_desc(enum reply r)
{
    return &table[r];
}

enum reply reply_of_admission(enum admission p)
{
    static const enum reply said[] = {
#define SAID(NAME, code, enhanced, flags, text) [ADMISSION_##NAME] = R_##NAME,
        ADMISSION_REPLIES(SAID)
#undef SAID
    };
    return (size_t)p < sizeof said / sizeof said[0] ? said[p] : R_TRY_LATER;
}

/* Piece by piece: this runs for every command, and needs no formatting. */
static int add_all(struct buf *out, const struct span *pieces, size_t n)
{
    size_t octets = 0;
    for (size_t i = 0; i < n; i++)
        octets += pieces[i].n;
    if (buf_room(out, octets) == NULL)
        return -1;
    for (size_t i = 0; i < n; i++)
        buf_add_span(out, pieces[i]);
    return 0;
}

int reply_add(struct buf *out, enum reply r, struct span argument)
{
    const struct reply_desc *d = &table[r];
    const struct span pieces[] = {
        span_of(d->code),     SPAN(" "),
        span_of(d->enhanced), d->enhanced[0] != '\0' ? SPAN(" ") : SPAN(""),
        span_of(d->text),     argument,
        SPAN("\r\n"),
    };
    return add_all(out, pieces, sizeof pieces / sizeof pieces[0]);
}

int reply_add_line(struct buf *out, enum reply r, struct span text, bool is_last)
{
    const struct reply_desc *d = &table[r];
    const struct span pieces[] = {span_of(d->code),
                                  is_last ? SPAN(" ") : SPAN("-"),
                                  span_of(d->enhanced),
                                  d->enhanced[0] != '\0' ? SPAN(" ") : SPAN(""),
                                  text,
                                  SPAN("\r\n")};
    return add_all(out, pieces, sizeof pieces / sizeof pieces[0]);
}

void reply_codes(char out[REPLY_CODES_MAX], enum reply r)
{
    const struct reply_desc *d = &table[r];
    snprintf(out, REPLY_CODES_MAX, "%s%s%s", d->code, d->enhanced[0] != '\0' ? " " : "",
             d->enhanced);
}
