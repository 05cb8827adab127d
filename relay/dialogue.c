#include "relay/dialogue.h"

#include "common/clock.h"

#include <stdarg.h>

#define REMARK_MAX 80 /* octets of what says that lines were left out */
#define BEGIN_MAX  3500
#define END_MAX    (DIALOGUE_MAX - BEGIN_MAX - REMARK_MAX)
#define LINE_ROOM  (DIALOGUE_WORDS_MAX + 40) /* with the time, who, and that it was cut */

_Static_assert(LINE_ROOM <= END_MAX, "a line has room when all others are gone");

void dialogue_begin(struct dialogue *d)
{
    *d = (struct dialogue){.n_left_out = 0};
    buf_init(&d->begin, BEGIN_MAX);
    buf_init(&d->end, END_MAX);
}

void dialogue_free(struct dialogue *d)
{
    buf_free(&d->begin);
    buf_free(&d->end);
}

/* Removes the oldest line. */
static void leave_out(struct dialogue *d)
{
    struct span rest = buf_span(&d->end);
    struct span line = span_cut(&rest, '\n');
    buf_consume(&d->end, line.n + 1);
    d->n_left_out++;
}

static void add_line(struct dialogue *d, struct span line)
{
    if (!d->is_in_end && buf_add_span(&d->begin, line) == 0)
        return;
    d->is_in_end = true;
    while (buf_span(&d->end).n > 0 && buf_span(&d->end).n + line.n > END_MAX)
        leave_out(d);
    if (buf_add_span(&d->end, line) < 0)
        d->n_left_out++;
}

static size_t add_words(char *out, struct span words)
{
    static const char cut[] = " [...]";
    bool is_long = words.n > DIALOGUE_WORDS_MAX;
    size_t n = is_long ? DIALOGUE_WORDS_MAX : words.n;
    for (size_t i = 0; i < n; i++)
        out[i] = words.p[i] >= ' ' && words.p[i] < 0x7f ? words.p[i] : '?';
    if (is_long)
        memcpy(out + n, cut, sizeof cut - 1);
    return is_long ? n + sizeof cut - 1 : n;
}

void dialogue_add(struct dialogue *d, char who, struct span words)
{
    char line[LINE_ROOM];
    int64_t now_ms = clock_mono_ms();
    if (d->wall_ms == 0) {
        d->mono_ms = now_ms;
        d->wall_ms = clock_wall_ms();
    }
    int before = snprintf(line, sizeof line, "%lld %c ", (long long)(now_ms - d->mono_ms), who);
    size_t n = before > 0 ? (size_t)before : 0;
    n += add_words(line + n, words);
    line[n++] = '\n';
    add_line(d, (struct span){line, n});
}

void dialogue_addf(struct dialogue *d, const char *fmt, ...)
{
    char words[DIALOGUE_WORDS_MAX + 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    dialogue_add(d, '=', span_of(words));
}

struct span dialogue_text(const struct dialogue *d, char room[DIALOGUE_MAX])
{
    struct span begin = buf_span(&d->begin), end = buf_span(&d->end);
    size_t n = begin.n;
    if (begin.n > 0)
        memcpy(room, begin.p, begin.n);
    if (d->n_left_out > 0) {
        struct span rest = end;
        struct span at_ms = span_cut(&rest, ' '); /* that of the next line */
        int more =
            snprintf(room + n, REMARK_MAX, "%.*s = %llu lines are left out here\n", (int)at_ms.n,
                     at_ms.n > 0 ? at_ms.p : "", (unsigned long long)d->n_left_out);
        n += more > 0 ? (size_t)more : 0;
    }
    if (end.n > 0)
        memcpy(room + n, end.p, end.n);
    return (struct span){room, n + end.n};
}
