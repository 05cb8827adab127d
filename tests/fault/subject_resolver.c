/* resolver: siblings ask, a DNS server is played here. What it cannot find out is "later"; "no such
 * name" is said only when the server said so. */
#include "tests/fault/subject.h"
#include "tests/fault/talk.h"
#include "tests/fault/work.h"

#include "common/pack.h"
#include "common/verdict.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PEERS      (P_RELAY | P_POLICY)
#define DNS_HEADER 12
#define TYPE_A     1

static char config[100];
static pid_t server; /* it has a process of its own, so that it can be simple */

/* --- the server: names have an address and nothing else; "none.example.net" is no name --- */

static size_t reply(char *packet, size_t n)
{
    static const char address[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1";
    size_t end = DNS_HEADER;
    bool is_none = n > DNS_HEADER + 5 && memcmp(packet + DNS_HEADER, "\4none", 5) == 0;
    while (end + 5 < n && packet[end] != 0)
        end += 1 + (unsigned char)packet[end];
    end += 5; /* with the root, type and class */
    if (end > n)
        return 0;
    bool has_answer = !is_none && packet[end - 3] == TYPE_A && packet[end - 4] == 0;
    packet[2] = (char)(packet[2] | 0x84); /* an answer, of authority */
    packet[3] = (char)(is_none ? 0x83 : 0x80);
    memset(packet + 6, 0, 6); /* no other sections */
    packet[7] = has_answer;
    if (!has_answer)
        return end;
    memcpy(packet + end, address, sizeof address - 1);
    return end + sizeof address - 1;
}

static void serve(int fd)
{
    char packet[1024];
    struct sockaddr_storage who;
    for (;;) {
        socklen_t len = sizeof who;
        ssize_t n = recvfrom(fd, packet, sizeof packet - 100, 0, (struct sockaddr *)&who, &len);
        if (n > DNS_HEADER)
            sendto(fd, packet, reply(packet, (size_t)n), 0, (struct sockaddr *)&who, len);
    }
}

static void begin_server(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    if (server > 0)
        return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&at, n) < 0 || getsockname(fd, (struct sockaddr *)&at, &n) < 0)
        play_give_up("a port");
    snprintf(config, sizeof config, "[dns]\nserver = 127.0.0.1@%u\n", ntohs(at.sin_port));
    fflush(stdout);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd);
    }
    close(fd);
}

/* --- questions --- */

static bool is_address(const struct msg_dns_addr_re *re)
{
    struct unpacker u = unpacker_on(re->addresses);
    return span_eq(unpack_bytes(&u, 16), (struct span){"\xc0\0\2\1", 4}) && unpack_done(&u);
}

/* 1: *verdict; -1, WORK_SILENCE. */
static int ask(struct play *p, const char *host, enum verdict *verdict)
{
    static uint64_t tag;
    union msg m;
    int fd;
    struct msg_dns_addr about = {.tag = ++tag, .host = span_of(host)};
    int rc = subject_ask(p->channels[ROLE_RELAY], MSG_DNS_ADDR, &about, MSG_DNS_ADDR_RE, &m, &fd);
    if (rc <= 0)
        return rc;
    bool is_none = strncmp(host, "none.", 5) == 0;
    *verdict = (enum verdict)m.dns_addr_re.verdict;
    if (*verdict == (is_none ? VERDICT_OK : VERDICT_NEVER) ||
        (*verdict == VERDICT_OK && !is_address(&m.dns_addr_re)))
        subject_complain_of(host, *verdict);
    return rc;
}

/* --- the subject --- */

static void lay_out(const char *state, const char *template)
{
    (void)template;
    begin_server();
    play_layout(state);
}

/* Other names each time, for it remembers. */
static int day(struct play *p)
{
    static unsigned n;
    char host[40];
    enum verdict v;
    snprintf(host, sizeof host, "h%u.example.net", ++n);
    int rc = ask(p, host, &v);
    rc = rc > 0 ? ask(p, "none.example.net", &v) : rc;
    return rc < 0 ? rc : 0;
}

static void again(struct play *p)
{
    enum verdict v = VERDICT_TRY_LATER;
    if (ask(p, "again.example.net", &v) != 1 || v != VERDICT_OK)
        subject_complain_of("afterwards, a question", v);
}

static void put_away(void)
{
    subject_end(server);
}

const struct subject subject_resolver = {.role = ROLE_RESOLVER,
                                         .peers = PEERS,
                                         .config = config,
                                         .sample = 3,
                                         .is_kept = true,
                                         .lay_out = lay_out,
                                         .day = day,
                                         .again = again,
                                         .put_away = put_away};
