#include "tests/fault/work.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/pack.h"
#include "common/verdict.h"
#include "tests/fault/disk.h"

#include <poll.h>

#define BURST     8
#define PART      CHUNK_MAX
#define SIZE_MOST 300000

/* The key is in force when a later question on the same channel is answered: about a mailbox that
 * nobody has. */
int work_begin(struct play *queue, struct ledger *l)
{
    union msg m;
    enum msg_type type;
    int fd, authd = queue->channels[ROLE_AUTHD];
    for (unsigned b = 0; b < LEDGER_BOXES && l->n_letters == 0; b++)
        l->next_sequence[b] = 1;
    l->old_letters = l->n_letters;
    l->old_removals = l->n_removals;
    struct msg_seal_key key = {.key = {(const char *)ledger_key, SEAL_KEY_OCTETS}};
    struct msg_box_forget forget = {.tag = ++l->last_tag, .box = 999};
    if (play_send(authd, MSG_SEAL_KEY, &key, -1) < 0 ||
        play_send(authd, MSG_BOX_FORGET, &forget, -1) < 0)
        return -1;
    return play_receive(authd, &m, &type, &fd, PLAY_WAIT_MS) > 0 ? 0 : -1;
}

/* --- sending --- */

static struct span pack_rcpts(const struct letter *l, char *room, size_t cap)
{
    static struct sealer s;
    struct packer w = packer_on(room, cap);
    struct rcpt r = {.address = SPAN("user@example.org"), .sealed = SPAN("")};
    unsigned char key[SEAL_KEY_OCTETS];
    memcpy(key, ledger_key, sizeof key);
    if (l->kind == LETTER_FORGED)
        key[3] ^= 1;
    if (l->kind == LETTER_REMOTE) {
        r.address = SPAN("user@example.net");
    } else {
        seal_begin(&s, r.address, clock_wall_s());
        for (unsigned b = 0; b < LEDGER_BOXES; b++)
            if ((l->boxes & 1U << b) != 0)
                seal_target(&s, &(struct target){.is_local = true,
                                                 .box = b + LEDGER_BOXES,
                                                 .quota = 0,
                                                 .address = r.address});
        r.sealed = seal_end(&s, key);
    }
    rcpt_pack(&w, &r);
    return packer_span(&w);
}

static int send_letter(struct play *queue, struct letter *l)
{
    static char content[SIZE_MOST];
    char rcpts[2048];
    int smtpd = queue->channels[ROLE_SMTPD];
    ledger_content(l, content);
    struct span left = {content, l->size};
    struct msg_queue_open m = {.tag = l->tag,
                               .id = l->id,
                               .session = l->id,
                               .sender = SPAN("eve@client.example"),
                               .client = SPAN("127.0.0.1"),
                               .helo = SPAN("client.example"),
                               .rcpts = pack_rcpts(l, rcpts, sizeof rcpts),
                               .content = {left.p, left.n < PART ? left.n : PART}};
    left = span_from(left, m.content.n);
    m.is_last = left.n == 0 && l->kind != LETTER_ABORTED;
    l->asked = 0;
    int rc = play_send(smtpd, MSG_QUEUE_OPEN, &m, -1);
    while (rc == 0 && left.n > 0) {
        struct msg_queue_more more = {.tag = l->tag,
                                      .content = {left.p, left.n < PART ? left.n : PART}};
        left = span_from(left, more.content.n);
        more.is_last = left.n == 0 && l->kind != LETTER_ABORTED;
        rc = play_send(smtpd, MSG_QUEUE_MORE, &more, -1);
    }
    if (rc == 0 && l->kind == LETTER_ABORTED)
        rc = play_send(smtpd, MSG_QUEUE_ABORT, &(struct msg_queue_abort){l->tag}, -1);
    return rc;
}

static const enum letter_kind kinds[] = {
    LETTER_LOCAL,  LETTER_LOCAL,  LETTER_LOCAL,   LETTER_LOCAL,   LETTER_LOCAL,
    LETTER_REMOTE, LETTER_REMOTE, LETTER_ABORTED, LETTER_DAMAGED, LETTER_FORGED};
static const uint64_t sizes[] = {100, 500, 4000, 4000, 40000, 70000, 150000, SIZE_MOST};

static struct letter *new_letter(struct ledger *ledger)
{
    if (ledger->n_letters == LEDGER_MESSAGES)
        play_give_up("the ledger is full");
    struct letter *l = &ledger->letters[ledger->n_letters++];
    *l = (struct letter){.kind = kinds[chance(sizeof kinds / sizeof kinds[0])],
                         .id = id_new(),
                         .tag = ++ledger->last_tag,
                         .size = sizes[chance(sizeof sizes / sizeof sizes[0])] + chance(60),
                         .asked = NEVER,
                         .answered = NEVER,
                         .relayed = NEVER,
                         .verdict = VERDICT_TRY_LATER};
    l->size = l->size < SIZE_MOST ? l->size : SIZE_MOST;
    for (unsigned b = 0; b < LEDGER_BOXES; b++)
        l->removal[b] = NEVER;
    if (l->kind != LETTER_REMOTE)
        l->boxes = 1 + (unsigned)chance((1U << LEDGER_BOXES) - 1);
    return l;
}

/* --- answers --- */

static void answered(struct ledger *ledger, const struct msg_queue_open_re *m)
{
    struct letter *l = ledger_by_tag(ledger, m->tag);
    if (l == NULL)
        return;
    l->answered = 0;
    l->verdict = m->verdict;
    l->reason = m->reason;
    for (unsigned b = 0; b < LEDGER_BOXES && m->verdict == VERDICT_OK; b++)
        if ((l->boxes & 1U << b) != 0)
            l->sequence[b] = ledger->next_sequence[b]++;
}

static void removed(struct ledger *ledger, const struct msg_box_delete_re *m)
{
    for (size_t i = 0; i < ledger->n_removals; i++)
        if (ledger->removals[i].tag == m->tag) {
            ledger->removals[i].answered = 0;
            ledger->removals[i].verdict = m->verdict;
        }
}

static void relay(struct play *queue, struct ledger *ledger, const struct msg_relay_job *m)
{
    char room[256];
    struct packer w = packer_on(room, sizeof room);
    struct letter *l = ledger_letter(ledger, m->id);
    pack_uint(&w, 0, 4);
    pack_uint(&w, VERDICT_OK, 1);
    pack_bytes(&w, SPAN("250 2.0.0 ok"));
    if (l != NULL && ledger->n_jobs < LEDGER_MESSAGES) {
        l->relayed = 0;
        ledger->jobs[ledger->n_jobs].tag = m->tag;
        ledger->jobs[ledger->n_jobs++].letter = (size_t)(l - ledger->letters);
    }
    struct msg_relay_job_re re = {
        .tag = m->tag, .remote = SPAN("mx[192.0.2.1]:25"), .results = packer_span(&w)};
    play_send(queue->channels[ROLE_RELAY], MSG_RELAY_JOB_RE, &re, -1);
}

static int take_answers(struct play *queue, struct ledger *ledger, enum role from)
{
    union msg m;
    enum msg_type type;
    int fd, rc;
    while ((rc = play_receive(queue->channels[from], &m, &type, &fd, 0)) > 0) {
        if (fd >= 0)
            close(fd);
        if (type == MSG_QUEUE_OPEN_RE)
            answered(ledger, &m.queue_open_re);
        else if (type == MSG_BOX_DELETE_RE)
            removed(ledger, &m.box_delete_re);
        else if (type == MSG_RELAY_JOB)
            relay(queue, ledger, &m.relay_job);
    }
    return rc;
}

static size_t recent(size_t n, size_t old)
{
    return n - old > BURST ? n - BURST : old;
}

static bool is_waiting(const struct ledger *l)
{
    for (size_t i = recent(l->n_letters, l->old_letters); i < l->n_letters; i++)
        if (l->letters[i].asked == 0 && l->letters[i].kind != LETTER_ABORTED &&
            l->letters[i].answered == NEVER)
            return true;
    for (size_t i = recent(l->n_removals, l->old_removals); i < l->n_removals; i++)
        if (l->removals[i].answered == NEVER)
            return true;
    return false;
}

/* Until all questions are answered, and mail that went out was taken. */
static int collect(struct play *queue, struct ledger *ledger)
{
    static const enum role from[] = {ROLE_SMTPD, ROLE_MAILBOX, ROLE_RELAY};
    for (int i = 0; i < PLAY_WAIT_MS / 10; i++) {
        struct pollfd wait[3];
        for (size_t k = 0; k < 3; k++) {
            if (take_answers(queue, ledger, from[k]) < 0)
                return -1;
            wait[k] = (struct pollfd){.fd = queue->channels[from[k]], .events = POLLIN};
        }
        if (!is_waiting(ledger))
            return 0;
        poll(wait, 3, 10);
    }
    return WORK_SILENCE;
}

int work_letters(struct play *queue, struct ledger *l, size_t n)
{
    while (n > 0) {
        size_t burst = 1 + chance(BURST);
        for (; burst > 0 && n > 0; burst--, n--)
            if (send_letter(queue, new_letter(l)) < 0) {
                collect(queue, l); /* what it said before */
                return -1;
            }
        int rc = collect(queue, l);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool may_go(const struct letter *l, unsigned box)
{
    return l->verdict == VERDICT_OK && (l->boxes & 1U << box) != 0 && l->removal[box] == NEVER;
}

int work_removals(struct play *queue, struct ledger *l)
{
    char room[4096];
    for (unsigned b = 0; b < LEDGER_BOXES; b++) {
        struct packer w = packer_on(room, sizeof room);
        struct removal *r = &l->removals[l->n_removals++];
        *r = (struct removal){
            .tag = ++l->last_tag, .box = b, .answered = NEVER, .verdict = VERDICT_TRY_LATER};
        for (size_t i = 0; i < l->n_letters; i++)
            if (may_go(&l->letters[i], b) && chance(3) == 0) {
                l->letters[i].removal[b] = l->n_removals - 1;
                pack_uint(&w, l->letters[i].sequence[b], 8);
            }
        struct msg_box_delete m = {.tag = r->tag,
                                   .box = b + LEDGER_BOXES,
                                   .session = id_new(),
                                   .sequences = packer_span(&w),
                                   .is_last = 1};
        if (play_send(queue->channels[ROLE_MAILBOX], MSG_BOX_DELETE, &m, -1) < 0)
            return -1;
    }
    return collect(queue, l);
}

int work_proof(struct play *queue, struct ledger *ledger)
{
    struct letter *l = new_letter(ledger);
    l->kind = LETTER_LOCAL;
    l->boxes = 1;
    l->size = 200;
    if (send_letter(queue, l) < 0 || collect(queue, ledger) < 0)
        return -1;
    return l->verdict == VERDICT_OK ? 0 : -1;
}
