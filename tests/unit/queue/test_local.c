#include "common/clock.h"
#include "common/id.h"
#include "queue/local.h"
#include "world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct world w;

static void answered(void *arg, const union msg *m, int fd)
{
    (void)fd;
    int *reason = arg;
    *reason = m != NULL ? m->queue_open_re.reason : -1;
}

/* What the queue says to a message for a foreign domain, with `fd` as its proof. */
static int relayed(const char *client, int fd)
{
    char room[400];
    struct packer p = packer_on(room, sizeof room);
    world_rcpt(&p, "x@example.net", NULL, 0);
    struct msg_queue_open m = {.id = id_new(),
                               .sender = SPAN("root@example.org"),
                               .client = span_of(client),
                               .helo = SPAN("h"),
                               .ticket = SPAN(""),
                               .rcpts = packer_span(&p),
                               .content = SPAN("Subject: x\r\n\r\n"),
                               .is_last = 1};
    int reason = -1;
    cr_assert_neq(ipc_ask_queue_open(w.smtpd, &m, fd, 60000, answered, &reason), 0);
    world_pump(&w);
    return reason;
}

static const char *uid_text(unsigned uid)
{
    static char text[32];
    snprintf(text, sizeof text, "uid:%u", uid);
    return text;
}

/* A Unix socket as the parent makes it, under a name that is no file. */
static int listener(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    socklen_t n = sizeof at.sun_family; /* the kernel chooses */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, 1) == 0);
    return fd;
}

Test(local, only_a_connection_of_the_user_lets_smtpd_relay_for_him)
{
    int stream[2], packets[2];
    world_begin(&w, "");
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
    int tcp = socket(AF_INET, SOCK_STREAM, 0), null = open("/dev/null", O_RDONLY);
    int listening = listener();
    cr_expect_eq(relayed(uid_text(getuid()), stream[0]), INTAKE_OK);
    cr_expect_eq(relayed(uid_text(getuid()), -1), INTAKE_FAULT, "there was no room for it");
    cr_expect_eq(relayed(uid_text(getuid() + 1), stream[0]), INTAKE_RELAYING);
    cr_expect_eq(relayed(uid_text(getuid()), packets[0]), INTAKE_RELAYING, "a channel is no user");
    cr_expect_eq(relayed(uid_text(getuid()), tcp), INTAKE_RELAYING);
    cr_expect_eq(relayed(uid_text(getuid()), listening), INTAKE_RELAYING,
                 "what smtpd accepts on was made by the parent: it says root");
    cr_expect_eq(relayed(uid_text(getuid()), null), INTAKE_RELAYING);
    cr_expect_eq(relayed("192.0.2.1", stream[0]), INTAKE_RELAYING, "it says nothing of addresses");
    cr_expect_eq(relayed("uid:x", stream[0]), INTAKE_FAULT);
    cr_expect_eq(relayed("uid:4294967296", stream[0]), INTAKE_FAULT);
    w.config->submit.socket = SWITCH_OFF;
    cr_expect_eq(relayed(uid_text(getuid()), stream[0]), INTAKE_RELAYING);
    world_end(&w);
    for (int i = 0; i < 2; i++)
        close(stream[i]), close(packets[i]);
    close(tcp), close(null), close(listening);
}

Test(local, each_user_has_his_own_rate)
{
    struct locals *l = locals_new();
    struct rate rate = {.count = 2, .period_ms = 1000}, none = {.is_off = true};
    clock_fake(5000, 1000);
    cr_expect_not(local_is_too_fast(l, 1000, &rate));
    cr_expect_not(local_is_too_fast(l, 1000, &rate));
    cr_expect(local_is_too_fast(l, 1000, &rate));
    cr_expect_not(local_is_too_fast(l, 1001, &rate));
    cr_expect_not(local_is_too_fast(l, 1000, &none));
    for (int i = 0; i < 5; i++)
        cr_expect_not(local_is_too_fast(l, 0, &rate), "root");
    clock_fake(6000, 1000);
    cr_expect_not(local_is_too_fast(l, 1000, &rate), "a new period");
    for (uint32_t uid = 1; uid < 3000; uid++) /* more users than are kept */
        cr_expect_not(local_is_too_fast(l, uid + 5000, &rate));
    clock_fake(-1, -1);
    locals_free(l);
}
