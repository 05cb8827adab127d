#include "common/config.h"

#include <stdarg.h>

/* A file that is no configuration at all would have a problem on each line. */
#define PROBLEMS_MAX 200

/* Keeps the list in the order of lines; what is found later on the same line comes later. */
static struct config_problem *insert(struct config_problems *p, size_t line)
{
    size_t at = p->n;
    if (array_reserve((void **)&p->list, &p->cap, p->n + 1, sizeof *p->list) < 0)
        return NULL;
    while (at > 0 && p->list[at - 1].line > line)
        at--;
    memmove(p->list + at + 1, p->list + at, (p->n - at) * sizeof *p->list);
    p->n++;
    p->list[at] = (struct config_problem){.line = line};
    return &p->list[at];
}

void config_problem_add(struct config_problems *p, size_t line, bool is_warning, const char *fmt,
                        ...)
{
    p->n_errors += !is_warning;
    line = line > 0 ? line
                    : 1; /* what no line says is said of the first: editors and scripts go there */
    if (p->n > PROBLEMS_MAX)
        return;
    bool is_last = p->n == PROBLEMS_MAX;
    struct config_problem *new = insert(p, is_last ? SIZE_MAX : line);
    if (new == NULL)
        return; /* it is counted all the same */
    new->is_warning = is_warning;
    if (is_last) {
        new->line = p->list[p->n - 2].line;
        snprintf(new->text, sizeof new->text, "there are more problems; solve these first");
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(new->text, sizeof new->text, fmt, ap);
    va_end(ap);
}

void config_problems_free(struct config_problems *p)
{
    free(p->list);
    *p = (struct config_problems){.n = 0};
}
