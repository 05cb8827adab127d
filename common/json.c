#include "common/json.h"

#include "common/utf8.h"

static int json_character(struct buf *out, struct span c, uint32_t number)
{
    if (number == '"' || number == '\\')
        return buf_addf(out, "\\%c", (char)number);
    if (number == '\n')
        return buf_add(out, "\\n", 2);
    if (number < 32 || number == 127)
        return buf_addf(out, "\\u%04x", (unsigned)number);
    return buf_add_span(out, c);
}

int json_string(struct buf *out, struct span s)
{
    int rc = buf_add(out, "\"", 1);
    while (s.n > 0 && rc == 0) {
        uint32_t number;
        size_t n = utf8_character(s, &number);
        if (n == 0)
            rc = buf_add(out, "\xef\xbf\xbd", 3);
        else
            rc = json_character(out, (struct span){s.p, n}, number);
        s = span_from(s, n == 0 ? 1 : n);
    }
    return rc < 0 ? -1 : buf_add(out, "\"", 1);
}
