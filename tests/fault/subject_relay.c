/* relay: jobs go out to a server that is played here, as are queue, resolver and policy.
 * "Delivered" is said only of what that server took whole, octet by octet; a fault of its own is
 * never "never", and every job is answered. */
#include "tests/fault/subject.h"
#include "tests/fault/talk.h"
#include "tests/fault/work.h"

#include "common/content.h"
#include "common/pack.h"
#include "common/verdict.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PEERS (P_QUEUE | P_RESOLVER | P_POLICY)
#define SMALL 3000
#define LARGE 300000 /* as a descriptor */

static struct talk talk;
static char config[400];
static int listening = -1;
static pid_t server;  /* it has a process of its own, so that it can be simple */
static struct {       /* what it tells us */
    uint64_t kept[2]; /* how often each message was taken whole */
} * shared;
static char contents[2][LARGE + 100];
static size_t sizes[2];
static bool is_answered[2];
static enum verdict verdicts[2];

/* --- the server: a process for each connection, no pipelining --- */

static bool reply(FILE *f, const char *text)
{
    return fputs(text, f) >= 0 && fflush(f) == 0;
}

/* Reads the content; -1: which of the two it was is not known. */
static int which(FILE *f)
{
    static char got[LARGE + 200], line[4096];
    size_t n = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (strcmp(line, ".\r\n") == 0) {
            for (int i = 0; i < 2; i++)
                if (n == sizes[i] && memcmp(got, contents[i], n) == 0)
                    return i;
            return -1;
        }
        size_t len = strlen(line);
        if (n + len <= sizeof got)
            memcpy(got + n, line, len);
        n += len;
    }
    return -2;
}

static void serve_one(int fd)
{
    char line[1000];
    FILE *in = fdopen(fd, "r"), *f = fdopen(dup(fd), "w");
    reply(f, "220 mx ESMTP\r\n");
    while (fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, "EHLO", 4) == 0)
            reply(f, "250-mx\r\n250 SIZE 1000000\r\n");
        else if (strncmp(line, "QUIT", 4) == 0)
            break;
        else if (strncmp(line, "DATA", 4) != 0)
            reply(f, "250 ok\r\n");
        else {
            reply(f, "354 go\r\n");
            int i = which(in);
            if (i == -2)
                break;
            if (i >= 0)
                shared->kept[i]++;
            reply(f, i >= 0 ? "250 kept\r\n" : "554 not what was sent\r\n");
        }
    }
    fclose(in);
    fclose(f);
}

static void serve(void)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        poll(&(struct pollfd){.fd = listening, .events = POLLIN}, 1, -1);
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve_one(fd);
            _exit(0);
        }
        if (fd >= 0)
            close(fd);
    }
}

static void write_contents(void)
{
    for (size_t i = 0; i < 2; i++) {
        size_t most = i == 0 ? SMALL : LARGE, n = 0;
        n = (size_t)snprintf(contents[i], 100, "Subject: %zu\r\n\r\n", i);
        while (n < most)
            n += (size_t)snprintf(contents[i] + n, 100, "octet %zu of it\r\n", n);
        sizes[i] = n;
    }
}

static void begin_server(void)
{
    uint16_t port;
    if (listening >= 0)
        return;
    write_contents();
    listening = talk_listen(&port);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(config, sizeof config, "[relay]\nport = %u\n" SUBJECT_NEVER, port);
    fflush(stdout);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve();
    }
}

/* --- siblings --- */

static void send_job(struct play *p, uint64_t tag, size_t which_one)
{
    char rcpts[200];
    struct packer w = packer_on(rcpts, sizeof rcpts);
    struct content_scan s;
    struct span content = {contents[which_one], sizes[which_one]};
    int fd = -1;
    pack_uint(&w, 1, 4);
    pack_bytes(&w, SPAN("carol@example.net"));
    pack_uint(&w, 0, 1);
    pack_bytes(&w, SPAN(""));
    content_begin(&s);
    content_add(&s, content);
    content_end(&s);
    struct msg_relay_job m = {.tag = tag,
                              .id = tag + 1000,
                              .sender = SPAN("eve@example.org"),
                              .domain = SPAN("example.net"),
                              .flags = s.flags,
                              .size = content.n,
                              .hash = {(const char *)s.hash, sizeof s.hash},
                              .rcpts = packer_span(&w)};
    if (which_one == 0) {
        m.content = content;
    } else {
        fd = subject_file(content.p, content.n);
    }
    play_send(p->channels[ROLE_QUEUE], MSG_RELAY_JOB, &m, fd);
    if (fd >= 0)
        close(fd);
}

static void result(const struct msg_relay_job_re *m)
{
    struct unpacker u = unpacker_on(m->results);
    size_t i = (size_t)(m->tag % 2);
    if (m->tag > 3)
        return;
    unpack_uint(&u, 4);
    enum verdict v = m->results.n > 0 ? (enum verdict)unpack_uint(&u, 1) : VERDICT_TRY_LATER;
    is_answered[i] = true;
    verdicts[i] = v;
    if (v == VERDICT_NEVER)
        subject_complain_of("a message is refused for ever", (unsigned)i);
    if (v == VERDICT_OK && shared->kept[i] == 0)
        subject_complain_of("delivered, but to nobody", (unsigned)i);
}

static void answer(struct talk *t, enum role sibling, enum msg_type type, const union msg *m,
                   int fd)
{
    int resolver = t->play->channels[ROLE_RESOLVER];
    (void)sibling;
    if (fd >= 0)
        close(fd);
    if (type == MSG_RELAY_JOB_RE)
        result(&m->relay_job_re);
    if (type == MSG_DNS_MX)
        play_send(resolver, MSG_DNS_MX_RE, &(struct msg_dns_mx_re){.tag = m->dns_mx.tag}, -1);
    if (type == MSG_STS) /* the domain has none */
        play_send(t->play->channels[ROLE_POLICY], MSG_STS_RE,
                  &(struct msg_sts_re){.tag = m->sts.tag}, -1);
    if (type == MSG_DNS_ADDR) {
        char room[16];
        struct packer w = packer_on(room, sizeof room);
        pack_bytes(&w, (struct span){"\x7f\0\0\1", 4});
        struct msg_dns_addr_re re = {.tag = m->dns_addr.tag, .addresses = packer_span(&w)};
        play_send(resolver, MSG_DNS_ADDR_RE, &re, -1);
    }
}

/* --- the subject --- */

static void lay_out(const char *state, const char *template)
{
    (void)template;
    begin_server();
    play_layout(state);
}

/* 1: both jobs were answered. */
static int send_both(struct play *p)
{
    int rc = 1;
    talk_begin(&talk, p, answer);
    for (size_t i = 0; i < 2; i++) {
        is_answered[i] = false;
        shared->kept[i] = 0;
        send_job(p, 2 + i, i);
    }
    for (size_t i = 0; i < 2 && rc > 0; i++)
        rc = talk_until(&talk, &is_answered[i]);
    return rc;
}

static int day(struct play *p)
{
    int rc = send_both(p);
    return rc > 0 ? 0 : rc;
}

static void again(struct play *p)
{
    if (send_both(p) != 1 || verdicts[0] != VERDICT_OK || verdicts[1] != VERDICT_OK)
        subject_complain_of("afterwards, a job", verdicts[0]);
}

static void put_away(void)
{
    subject_end(server);
}

const struct subject subject_relay = {.role = ROLE_RELAY,
                                      .peers = PEERS,
                                      .config = config,
                                      .sample = 4,
                                      .is_kept = true,
                                      .lay_out = lay_out,
                                      .day = day,
                                      .again = again,
                                      .put_away = put_away};
