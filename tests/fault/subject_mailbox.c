/* mailbox: a granted session lists, reads and removes. What it gives out is what was accepted,
 * octet by octet, or "later"; it never says that a message is not there. */
#include "tests/fault/disk.h"
#include "tests/fault/subject.h"
#include "tests/fault/tap.h"
#include "tests/fault/work.h"

#include "common/listing.h"
#include "common/pack.h"
#include "common/verdict.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#define PEERS (P_AUTHD | P_QUEUE)
#define BOX   LEDGER_BOXES /* the first of the ledger's */

static struct ledger ledger;

/* --- what it gives out --- */

static bool is_content(const struct msg_box_read_re *m, const struct letter *l, int fd)
{
    static char want[1 << 20], got[1 << 20];
    size_t n = (size_t)l->size;
    if (n > sizeof want || (fd >= 0 && pread(fd, got, n + 1, 0) != (ssize_t)n) ||
        (fd < 0 && m->content.n != n))
        return false;
    ledger_content(l, want);
    return memcmp(fd >= 0 ? got : m->content.p, want, n) == 0;
}

static int read_one(int session, const struct listing_entry *e)
{
    static uint64_t tag;
    union msg m;
    int fd = -1;
    struct msg_box_read ask = {.tag = ++tag, .sequence = e->sequence};
    int rc = subject_ask(session, MSG_BOX_READ, &ask, MSG_BOX_READ_RE, &m, &fd);
    if (rc < 0)
        return rc;
    const struct letter *l = ledger_letter(&ledger, e->id);
    unsigned v = m.box_read_re.verdict;
    if (v == VERDICT_NEVER || l == NULL || (v == VERDICT_OK && !is_content(&m.box_read_re, l, fd)))
        subject_complain_of("a message", v);
    if (fd >= 0)
        close(fd);
    return v == VERDICT_OK ? 1 : 0;
}

/* 1: all of it was read; 0: some of it later; -1, WORK_SILENCE. */
static int read_all(int session, int fd, const struct msg_box_list_re *re)
{
    struct listing l;
    int rc = 1;
    if (re->verdict != VERDICT_OK || fd < 0)
        return re->verdict == VERDICT_NEVER ? (subject_complain_of("a listing", re->verdict), 0)
                                            : 0;
    if (listing_map(&l, fd, re->n, re->text) < 0) {
        subject_complain_of("a listing that is none", VERDICT_OK);
        return 0;
    }
    for (size_t i = 0; i < l.n && rc >= 0; i++) {
        int one = read_one(session, &l.list[i]);
        rc = one < rc ? one : rc;
    }
    listing_unmap(&l);
    return rc;
}

/* The queue is played here: it says yes. */
static int remove_first(struct play *p, int session)
{
    char room[16];
    union msg m;
    enum msg_type type;
    int fd;
    struct packer w = packer_on(room, sizeof room);
    pack_uint(&w, 1, 8);
    struct msg_box_update ask = {.tag = 1, .sequences = packer_span(&w), .is_last = 1};
    if (play_send(session, MSG_BOX_UPDATE, &ask, -1) < 0)
        return -1;
    int queue = p->channels[ROLE_QUEUE];
    int rc = play_receive(queue, &m, &type, &fd, 2000);
    if (rc > 0 && type == MSG_BOX_DELETE)
        play_send(queue, MSG_BOX_DELETE_RE,
                  &(struct msg_box_delete_re){m.box_delete.tag, VERDICT_OK}, -1);
    rc = play_receive(session, &m, &type, &fd, PLAY_WAIT_MS);
    if (rc > 0 && type == MSG_BOX_UPDATE_RE && m.box_update_re.verdict == VERDICT_NEVER)
        subject_complain_of("a deletion", VERDICT_NEVER);
    return rc == 0 ? WORK_SILENCE : rc;
}

static int connect_session(struct play *p)
{
    int pair[2];
    play_pair(pair);
    struct msg_box_grant m = {.box = BOX,
                              .session = 1 + chance(INT64_MAX),
                              .address = SPAN("user@example.org"),
                              .client = SPAN("127.0.0.1")};
    play_send(p->channels[ROLE_AUTHD], MSG_BOX_GRANT, &m, pair[1]);
    close(pair[1]);
    play_send(pair[0], MSG_HELLO, &(struct msg_hello){proto_hash(), ROLE_POP3D}, -1);
    return pair[0];
}

static int use_session(struct play *p, int session)
{
    union msg m;
    enum msg_type type;
    int fd = -1;
    int rc = play_receive(session, &m, &type, &fd, PLAY_WAIT_MS);
    if (rc <= 0)
        return rc < 0 ? -1 : WORK_SILENCE;
    if (type != MSG_BOX_OPENED || m.box_opened.verdict != VERDICT_OK) {
        if (type != MSG_BOX_OPENED || m.box_opened.verdict == VERDICT_NEVER)
            subject_complain_of("opening a mailbox", m.box_opened.verdict);
        return 0;
    }
    rc = subject_ask(session, MSG_BOX_LIST, &(struct msg_box_list){1}, MSG_BOX_LIST_RE, &m, &fd);
    if (rc < 0)
        return rc;
    struct msg_box_list_re list = m.box_list_re;
    rc = read_all(session, fd, &list);
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        return rc;
    int removed = remove_first(p, session);
    return removed < rc ? removed : rc;
}

/* 1: all was given out; 0: something later; -1: a channel was closed; WORK_SILENCE. */
static int session(struct play *p)
{
    int channel = connect_session(p);
    int rc = use_session(p, channel);
    close(channel);
    return rc;
}

/* --- the subject --- */

static int day(struct play *p)
{
    int rc = session(p);
    return rc > 0 ? 0 : rc;
}

static void again(struct play *p)
{
    if (session(p) != 1)
        subject_complain_of("afterwards, a session", VERDICT_TRY_LATER);
}

/* It cannot write, and the queue, which can, is not under test here. */
static struct play q;

/* The queue stays up: while nobody has the store open there is no log of it to be read. */
static void fill(const char *state)
{
    q = (struct play){.role = ROLE_QUEUE,
                      .state_dir = state,
                      .extra = WORK_CONFIG,
                      .peers = WORK_PEERS,
                      .trace_fd = -1,
                      .log_fd = tap_log()};
    ledger = (struct ledger){0};
    chance_begin(tap_seed());
    play_layout(state);
    if (play_start(&q) < 0 || work_begin(&q, &ledger) < 0 || work_letters(&q, &ledger, 20) < 0) {
        errno = 0;
        play_give_up("queue without a fault");
    }
}

static void lay_out(const char *state, const char *template)
{
    struct stat st;
    (void)template;
    if (stat(state, &st) == 0)
        return;
    fill(state);
}

static void put_away(void)
{
    if (q.pid > 0)
        play_stop(&q);
}

const struct subject subject_mailbox = {.role = ROLE_MAILBOX,
                                        .peers = PEERS,
                                        .config = "",
                                        .sample = 3,
                                        .is_kept = true,
                                        .lay_out = lay_out,
                                        .day = day,
                                        .again = again,
                                        .put_away = put_away};
