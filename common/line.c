#include "common/line.h"

enum line_result line_take(struct span in, size_t max, struct span *line, size_t *used)
{
    size_t look = in.n < max ? in.n : max;
    for (size_t i = 0; i < look; i++) {
        char c = in.p[i];
        if (c == '\0')
            return LINE_NUL;
        if (c == '\n')
            return LINE_BARE;
        if (c != '\r')
            continue;
        if (i + 1 == in.n)
            return i + 1 == max ? LINE_TOO_LONG : LINE_MORE;
        if (in.p[i + 1] != '\n')
            return LINE_BARE;
        if (i + 2 > max)
            return LINE_TOO_LONG;
        *line = (struct span){in.p, i};
        *used = i + 2;
        return LINE_OK;
    }
    return in.n >= max ? LINE_TOO_LONG : LINE_MORE;
}
