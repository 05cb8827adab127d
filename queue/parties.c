#include "queue/parties.h"

#include "common/idn.h"

/* How a recipient elsewhere came to be. */
enum origin {
    ORIGIN_NAMED,     /* by the sender, or by an address of ours that leaves the sender as he is */
    ORIGIN_FORWARDED, /* by one that sends on with a sender made of his (authd/srs.h) */
    ORIGIN_LIST,      /* by a list with an owner */
    ORIGIN_NULL,      /* of mail with a null sender, however */
    ORIGINS
};

enum who { WHO_NOBODY, WHO_SENDER, WHO_OF_PATH };

/* An owner is not warned: he can do nothing about it, and sendmail does not either. */
static const struct rule {
    enum who sends, reads;
    bool is_asked; /* what the sender asked with the message goes with it, and for its reports */
    uint8_t news;
} rules[ORIGINS] = {
    [ORIGIN_NAMED] = {WHO_SENDER, WHO_SENDER, true, NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY},
    [ORIGIN_FORWARDED] = {WHO_OF_PATH, WHO_SENDER, true,
                          NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY},
    [ORIGIN_LIST] = {WHO_OF_PATH, WHO_OF_PATH, false, NOTIFY_FAILURE},
    [ORIGIN_NULL] = {WHO_NOBODY, WHO_NOBODY, true, 0},
};

/* A name that srs.h makes begins otherwise. */
static enum origin origin_of(struct span sender, struct span path)
{
    if (sender.n == 0)
        return ORIGIN_NULL;
    if (path.n == 0)
        return ORIGIN_NAMED;
    return span_istarts(path, SPAN("owner-")) ? ORIGIN_LIST : ORIGIN_FORWARDED;
}

static struct span pick(enum who who, struct span sender, struct span path)
{
    return who == WHO_SENDER ? sender : who == WHO_OF_PATH ? path : SPAN("");
}

struct span parties_sender(struct span sender, struct span path)
{
    return pick(rules[origin_of(sender, path)].sends, sender, path);
}

struct parties parties_of(const struct message *m, struct span path)
{
    const struct rule *rule = &rules[origin_of(m->sender, path)];
    struct parties p = {.sender = pick(rule->sends, m->sender, path),
                        .reader = pick(rule->reads, m->sender, path),
                        .is_asked = rule->is_asked,
                        .envid = rule->is_asked ? m->envid : SPAN(""),
                        .ret = rule->is_asked ? m->ret : RET_DEFAULT,
                        .news = rule->news};
    return p;
}

bool parties_tell(const struct parties *p, uint8_t notify, enum notify what)
{
    return (p->news & what) != 0 && notify_wants(notify, what);
}

/* What the sender wrote, so that a report names that. */
static struct span name_it(struct span address, char orcpt[ORCPT_MAX + 1])
{
    bool is_ascii = idn_is_ascii(address);
    struct span type = is_ascii ? span_of("rfc822;") : span_of("utf-8;");
    memcpy(orcpt, type.p, type.n);
    size_t room = ORCPT_MAX + 1 - type.n;
    ssize_t n = is_ascii ? xtext_encode(address, orcpt + type.n, room)
                         : utf8_addr_encode(address, orcpt + type.n, room);
    return n > 0 ? (struct span){orcpt, type.n + (size_t)n} : SPAN("");
}

/* RFC 3461 5.2.7.3: success is told of the address itself. */
static uint8_t without_success(uint8_t notify)
{
    if ((notify & NOTIFY_SUCCESS) == 0)
        return notify;
    return notify == NOTIFY_SUCCESS ? NOTIFY_NEVER : notify & ~NOTIFY_SUCCESS & NOTIFY_ALL;
}

/* What was asked ends at a list: its copies are mail of its owner's (RFC 3461 5.2.7.1). */
struct rcpt parties_behind(const struct rcpt *named, const struct behind *all,
                           const struct target *to, char orcpt[ORCPT_MAX + 1])
{
    struct rcpt r = {.address = to->address, .orcpt = SPAN(""), .sealed = SPAN("")};
    bool is_single = all->boxes + all->remotes == 1;
    if (to->owner.n > 0)
        return r;
    r.notify = is_single ? named->notify : without_success(named->notify);
    r.orcpt = named->orcpt.n > 0 ? named->orcpt : name_it(named->address, orcpt);
    return r;
}

enum rcpt_deed parties_deed(const struct rcpt *named, const struct behind *all)
{
    bool is_passed_on = all->boxes == 0 && all->remotes == 1 && all->owned == 0;
    if ((named->notify & NOTIFY_SUCCESS) == 0 || is_passed_on)
        return DONE_NOT;
    return all->remotes == all->owned ? DONE_DELIVERED : DONE_EXPANDED;
}
