#include "queue/deliver.h"

#include "common/addr.h"
#include "common/maildb.h"

void targets_free(struct targets *t)
{
    for (size_t i = 0; i < t->n_remotes; i++)
        free(t->remotes[i].address);
    free(t->remotes);
    free(t->boxes);
    *t = (struct targets){0};
}

static bool is_full(const struct targets *t)
{
    return t->n_boxes + t->n_remotes >= TARGETS_MAX;
}

int targets_add_box(struct targets *t, uint64_t box, uint64_t quota)
{
    if (box == 0 || box > INT64_MAX)
        return -1;
    void *boxes = t->boxes;
    if (is_full(t) || array_reserve(&boxes, &t->cap_boxes, t->n_boxes + 1, sizeof *t->boxes) < 0)
        return -1;
    t->boxes = boxes;
    t->boxes[t->n_boxes++] = (struct box_target){box, quota};
    return 0;
}

int targets_add_remote(struct targets *t, struct span address)
{
    struct addr a;
    size_t used;
    if (addr_parse(address, ADDR_MAILBOX, &a, &used) < 0 || a.domain[0] == '\0' ||
        strlen(a.domain) > DOMAIN_MAX)
        return -1;
    void *remotes = t->remotes;
    if (is_full(t) ||
        array_reserve(&remotes, &t->cap_remotes, t->n_remotes + 1, sizeof *t->remotes) < 0)
        return -1;
    t->remotes = remotes;
    char *copy = span_dup(span_of(a.text));
    char *at = copy != NULL ? strrchr(copy, '@') : NULL;
    if (at == NULL) {
        free(copy);
        return -1;
    }
    t->remotes[t->n_remotes++] = (struct remote_target){copy, at + 1};
    return 0;
}

int targets_add_sealed(struct targets *t, const struct rcpt *r,
                       const unsigned char key[SEAL_KEY_OCTETS], int64_t now_s)
{
    struct unpacker sealed;
    struct target target;
    bool has_any = false;
    if (seal_open(r->sealed, r->address, key, now_s, &sealed) < 0)
        return -1;
    while (seal_next(&sealed, &target)) {
        int rc = target.is_local ? targets_add_box(t, target.box, target.quota)
                                 : targets_add_remote(t, target.address);
        if (rc < 0)
            return -1;
        has_any = true;
    }
    return has_any && unpack_done(&sealed) ? 0 : -1;
}

static int compare_boxes(const void *a, const void *b)
{
    uint64_t x = ((const struct box_target *)a)->box, y = ((const struct box_target *)b)->box;
    return x < y ? -1 : x > y;
}

static int compare_remotes(const void *a, const void *b)
{
    return strcmp(((const struct remote_target *)a)->address,
                  ((const struct remote_target *)b)->address);
}

void targets_tidy(struct targets *t)
{
    size_t n = 0;
    if (t->n_boxes > 1)
        qsort(t->boxes, t->n_boxes, sizeof *t->boxes, compare_boxes);
    for (size_t i = 0; i < t->n_boxes; i++)
        if (n == 0 || t->boxes[n - 1].box != t->boxes[i].box)
            t->boxes[n++] = t->boxes[i];
    t->n_boxes = n;
    n = 0;
    if (t->n_remotes > 1)
        qsort(t->remotes, t->n_remotes, sizeof *t->remotes, compare_remotes);
    for (size_t i = 0; i < t->n_remotes; i++)
        if (n == 0 || strcmp(t->remotes[n - 1].address, t->remotes[i].address) != 0)
            t->remotes[n++] = t->remotes[i];
        else
            free(t->remotes[i].address);
    t->n_remotes = n;
}

static enum intake_reason add_entry(struct store *s, const struct delivery *d,
                                    const struct box_target *b)
{
    const struct message *m = d->message;
    uint64_t octets = m->size + maildb_prefix_octets(m->sender), seq, total;
    switch (store_box_add(s, b->box, octets, &seq, &total)) {
    case FOUND_YES:
        break;
    case FOUND_NONE:
        return INTAKE_STALE;
    default:
        return INTAKE_FAULT;
    }
    if (b->quota != 0 && total > b->quota && !d->passes_quota)
        return INTAKE_QUOTA;
    return store_entry_add(s, b->box, seq, m->id, octets) == 0 ? INTAKE_OK : INTAKE_FAULT;
}

enum intake_reason deliver(struct store *s, const struct delivery *d)
{
    const struct targets *t = d->targets;
    if (store_message_add(s, d->message, d->content) < 0)
        return INTAKE_FAULT;
    for (size_t i = 0; i < t->n_boxes; i++) {
        enum intake_reason reason = add_entry(s, d, &t->boxes[i]);
        if (reason != INTAKE_OK)
            return reason;
    }
    for (size_t i = 0; i < t->n_remotes; i++) {
        struct recipient r = {.message = d->message->id,
                              .number = (uint32_t)i,
                              .address = span_of(t->remotes[i].address),
                              .domain = span_of(t->remotes[i].domain),
                              .state = RCPT_WAITING,
                              .next_attempt = d->message->arrived};
        if (store_rcpt_add(s, &r) < 0)
            return INTAKE_FAULT;
    }
    return INTAKE_OK;
}
