#include "common/trouble.h"

#include "common/clock.h"
#include "common/log.h"

bool trouble_is_news(struct trouble *t)
{
    int64_t now = clock_mono_ms();
    t->met_ms = now;
    if (t->times++ == 0)
        t->since_ms = now;
    else if (now - t->said_ms < TROUBLE_REMIND_MS)
        return false;
    t->said_ms = now;
    return true;
}

void trouble_worked(struct trouble *t, const char *event)
{
    if (t->times == 0 || clock_mono_ms() - t->met_ms < TROUBLE_QUIET_MS)
        return;
    LOG(0, event, LN("failures", (int64_t)t->times),
        LN("seconds", (t->met_ms - t->since_ms) / 1000));
    *t = (struct trouble){0};
}
