/* With which sender does mail go on that an alias sends to another host? See srs.h. Queue asks when
 * it accepts the message. The key is made of the secret of users.db and stays here. */
#include "authd/authd.h"
#include "authd/resolve.h"
#include "authd/srs.h"
#include "common/clock.h"
#include "common/log.h"

#define DAY_MS (86400 * INT64_C(1000))

/* As long as mail may be on its way, reports about it come. */
static int64_t longest_ms(const struct config *c)
{
    int64_t longest = c->relay.delivery.expire_ms;
    for (size_t i = 0; i < c->n_routes; i++)
        if (c->routes[i].delivery.expire_ms > longest)
            longest = c->routes[i].delivery.expire_ms;
    return longest;
}

void forward_configure(struct authd *a)
{
    const struct relay_config *c = &proc_config(a->proc)->relay;
    struct srs_rules *srs = &a->directory->srs;
    srs_key(a->users_secret, sizeof a->users_secret, srs->key);
    srs->has_key = true;
    srs->is_on = c->srs == SWITCH_ON;
    srs->days_max = SRS_DAYS + (longest_ms(proc_config(a->proc)) + DAY_MS - 1) / DAY_MS;
}

/* [relay] srs_domain; else the domain that the mail came to. Either must be ours, or no report
 * would come back. */
static struct span domain_for(const struct authd *a, struct span rcpt)
{
    const char *set = proc_config(a->proc)->relay.srs_domain;
    const struct domain *domain = NULL;
    if (set != NULL && (domain = directory_domain(a->directory, span_of(set))) == NULL)
        LOG(0, "srs-domain-not-ours", LZ("domain", set));
    if (domain == NULL)
        domain = directory_domain(a->directory, resolve_domain_of(rcpt));
    if (domain == NULL) /* <postmaster> */
        domain = directory_default_domain(a->directory);
    return domain != NULL ? domain->node.name : SPAN("");
}

void forward_handle(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    const struct authd *a = proc_state(owner);
    const struct msg_forward *asked = &m->forward;
    struct msg_forward_re re = {.tag = asked->tag, .sender = asked->sender};
    struct span ours = domain_for(a, asked->rcpt);
    char text[ADDRESS_MAX];
    bool stays = asked->sender.n == 0 || ours.n == 0 ||
                 directory_domain(a->directory, resolve_domain_of(asked->sender)) != NULL;
    if (!stays &&
        srs_forward(a->directory->srs.key, asked->sender, ours, clock_wall_s(), text) == 0)
        re.sender = span_of(text);
    else if (!stays)
        LOG(0, "srs-too-long", LS("sender", asked->sender));
    ipc_send_forward_re(from, &re, -1);
}
