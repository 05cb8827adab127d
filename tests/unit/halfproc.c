#include "tests/unit/halfproc.h"

#include <criterion/criterion.h>

void halfproc_configure(struct proc *p, const char *settings)
{
    struct config_problems problems = {0};
    config_free(p->config);
    p->config = config_parse(span_of(settings), "test", &problems);
    cr_assert_not_null(p->config, "%s", problems.n > 0 ? problems.list[0].text : "");
    config_problems_free(&problems);
}

struct loop *proc_loop(struct proc *p)
{
    return p->loop;
}

const struct config *proc_config(struct proc *p)
{
    return p->config;
}

void *proc_state(struct proc *p)
{
    return p->state;
}

void proc_set_state(struct proc *p, void *state)
{
    p->state = state;
}

struct ipc *proc_peer(struct proc *p, enum role role)
{
    return p->peers[role];
}

void proc_exit(struct proc *p)
{
    p->has_exited = true;
}
