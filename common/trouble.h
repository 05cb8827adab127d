/* Something that should work does not, and may not for hours: no room on disk, no descriptors. It
 * is said when it begins, again at long intervals, and when it is over; not each time it is met, as
 * a log that fills what is full already helps nobody. A struct trouble is one such thing; zero is
 * the right beginning. One thread. */
#ifndef BARID_TROUBLE_H
#define BARID_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#define TROUBLE_REMIND_MS 600000
#define TROUBLE_QUIET_MS  5000

struct trouble {
    uint64_t times;                    /* since it began; 0: there is none */
    int64_t since_ms, met_ms, said_ms; /* monotonic */
};

/* Met once more: is this the time to say so? */
bool trouble_is_news(struct trouble *t);
/* It worked. When it has not been met for TROUBLE_QUIET_MS it is over, and that is said: `event`,
 * with how often and how long. What works only now and then is not over. */
void trouble_worked(struct trouble *t, const char *event);

#endif
