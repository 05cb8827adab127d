#include "cli/progress.h"

#include "cli/text.h"
#include "common/clock.h"

#define DRAW_MS 200
#define BAR     24

void progress_begin(struct progress *p, const struct cli *cli, const char *unit, uint64_t total)
{
    *p = (struct progress){.is_shown = !cli->is_json && isatty(STDERR_FILENO),
                           .unit = unit,
                           .total = total,
                           .begun_ms = clock_mono_ms()};
}

static void draw_bar(const struct progress *p, uint64_t done)
{
    char bar[BAR + 1];
    uint64_t part = done < p->total ? done * BAR / p->total : BAR;
    for (size_t i = 0; i < BAR; i++)
        bar[i] = i < part ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "[%s] %llu of ", bar, (unsigned long long)done);
}

void progress_at(struct progress *p, uint64_t done, uint64_t octets)
{
    int64_t now = clock_mono_ms();
    if (!p->is_shown || now - p->drawn_ms < DRAW_MS)
        return;
    char size[32];
    int64_t ms = now > p->begun_ms ? now - p->begun_ms : 1;
    p->drawn_ms = now;
    p->is_drawn = true;
    fputs("\r\033[K", stderr);
    if (p->total > 0)
        draw_bar(p, done);
    text_size(size, octets);
    fprintf(stderr, "%llu %s, %s, %llu/s", (unsigned long long)(p->total > 0 ? p->total : done),
            p->unit, size, (unsigned long long)(done * 1000 / (uint64_t)ms));
}

void progress_end(struct progress *p)
{
    if (p->is_drawn)
        fputs("\r\033[K", stderr);
    p->is_drawn = false;
}
