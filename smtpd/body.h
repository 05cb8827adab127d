/* The octets after DATA (RFC 5321 4.1.1.4, 4.5.2): finds the end, undoes the stuffing of dots,
 * judges the content. Also those of BDAT (RFC 3030), whose end the caller knows: no dot means
 * anything there. No I/O and no memory of its own; used by the session, the fuzzer and the
 * tests.
 *
 * Only CRLF.CRLF ends the data, whatever else is wrong with it: a problem is remembered, content is
 * no longer put out, and reading goes on to the real end, so that nothing that follows can be
 * smuggled in as a command.
 *
 * For a client whose mail begins here, the fields that RFC 6409 8 wants are put behind the others,
 * if they are missing (body_complete). A line that cannot be part of a header section ends it then,
 * so that a message without one gets one. */
#ifndef BARID_SMTPD_BODY_H
#define BARID_SMTPD_BODY_H

#include "common/str.h"

#define BODY_LINE_MAX   16384          /* octets of a line with its CRLF */
#define BODY_HEADER_MAX (256U * 1024U) /* octets of the header section */
#define BODY_NAME_MAX   200            /* a longer name at the start of a line is a field, unread */

enum body_problem {
    BODY_FINE = 0,
    BODY_BARE,   /* a CR or LF alone */
    BODY_NUL,    /* a NUL */
    BODY_LINE,   /* a line over BODY_LINE_MAX */
    BODY_HEADER, /* a header section over BODY_HEADER_MAX */
    BODY_SIZE,   /* more octets than allowed */
    BODY_HOPS,   /* more Received fields than allowed */
};

/* The fields that are looked for. */
enum body_field { BODY_RECEIVED, BODY_DATE, BODY_MESSAGE_ID, BODY_FIELDS };

enum body_state {
    BODY_START,  /* at the start of a line, after a real CRLF */
    BODY_DOT,    /* after a dot there */
    BODY_DOT_CR, /* after a dot and a CR there */
    BODY_TEXT,   /* in a line */
    BODY_CR,     /* after a CR in a line */
    BODY_END,    /* the end was read */
};

struct body {
    uint64_t
        octets_max; /* of content, in wire form, without stuffing and the final dot (RFC 1870) */
    uint64_t hops_max;
    bool normalises; /* a bare CR or LF becomes CRLF, but never ends the data */
    bool is_chunked; /* from BDAT; set after body_begin */

    enum body_problem problem; /* the first one */
    enum body_state state;
    uint64_t octets; /* of content so far */
    /* private */
    uint64_t line; /* octets of the line so far */
    uint64_t hops;
    bool in_content;                /* behind the header section */
    bool is_later_line;             /* a line has ended */
    bool is_known;                  /* whether this line of the header section is a field */
    bool has_gap;                   /* white space after its name */
    size_t n_name;                  /* octets of its name */
    size_t n_start;                 /* and with the white space after it, in `start` */
    size_t n_held;                  /* of which these are not yet put out */
    unsigned has;                   /* bits: which fields came */
    struct span added[BODY_FIELDS]; /* whole fields for those that do not come */
    char start[BODY_NAME_MAX];
};

void body_begin(struct body *b, uint64_t octets_max, uint64_t hops_max, bool normalises);
/* Puts out these fields (whole, with CRLF; they must outlive b) if there are none like them. After
 * body_begin. */
void body_complete(struct body *b, struct span date, struct span message_id);
/* What body_room asks for beyond twice the octets taken, without the fields. */
#define BODY_ROOM_MORE (BODY_NAME_MAX + 4)
/* The octets that body_take of n octets may put out; body_end those of none. */
size_t body_room(const struct body *b, size_t n);
/* Takes octets of `in`, up to the end of the data: the number taken is returned. Puts content out
 * to `out` (with room for body_room(in.n)), *n_out octets; none if there is a problem. */
size_t body_take(struct body *b, struct span in, char *out, size_t *n_out);
/* Chunked content ends here: a last line that is not finished is. */
void body_end(struct body *b, char *out, size_t *n_out);
static inline bool body_is_over(const struct body *b)
{
    return b->state == BODY_END;
}

#endif
