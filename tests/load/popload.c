/* Loads a POP3 server with sessions and says how fast they went: for ./dev bench, against any
 * server.
 *
 *   popload [-c CLIENTS] [-n SESSIONS] [-m stat|uidl|retr] [-t] -d DOMAIN -p PASSWORD ADDRESS PORT
 *
 * Client 0 logs in as user0@DOMAIN, client 1 as user1@DOMAIN …, so that no two want one maildrop. A
 * session is (-t: a TLS handshake, without a ticket and without a look at the certificate,) USER,
 * PASS, STAT, then UIDL or RETR of every message if asked for, and QUIT. The line on stdout:
 * sessions=2000 seconds=1.234 rate=1621 octets=123456 (of multi-line replies, in all). Exit status
 * 1 if a session failed. A process for each client, which does one thing at a time. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CLIENTS_MAX 1000
#define REPLY_MAX   4096

struct options {
    size_t clients, sessions;
    bool with_uidl, with_retr;
    SSL_CTX *tls; /* NULL: in the clear */
    const char *domain, *password;
    struct sockaddr_in server;
};

static void die(const char *what)
{
    fprintf(stderr, "popload: %s\n", what);
    exit(2);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- one session --- */

struct link {
    int fd;
    SSL *ssl; /* NULL: in the clear */
    FILE *in;
};

static void say(const struct link *l, const char *line)
{
    char out[1024];
    int n = snprintf(out, sizeof out, "%s\r\n", line);
    if (n < 0 || (size_t)n >= sizeof out)
        die("a command is too long");
    ssize_t sent =
        l->ssl != NULL ? SSL_write(l->ssl, out, n) : send(l->fd, out, (size_t)n, MSG_NOSIGNAL);
    if (sent != n)
        die("the server does not take a command");
}

static ssize_t read_tls(void *ssl, char *room, size_t n)
{
    int got = SSL_read(ssl, room, (int)n);
    return got > 0 ? got : 0;
}

static void take_reply(FILE *in, char reply[REPLY_MAX])
{
    if (fgets(reply, REPLY_MAX, in) == NULL)
        die("the server closed");
    if (strncmp(reply, "+OK", 3) != 0)
        die(reply);
}

/* The lines up to the final dot: their octets. */
static uint64_t take_lines(FILE *in)
{
    char line[REPLY_MAX];
    uint64_t octets = 0;
    while (fgets(line, sizeof line, in) != NULL) {
        if (strcmp(line, ".\r\n") == 0)
            return octets;
        octets += strlen(line);
    }
    die("the server closed in the middle of a reply");
    return 0;
}

static int connect_to(const struct options *o)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&o->server, sizeof o->server) < 0)
        die("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void open_link(const struct options *o, struct link *l)
{
    *l = (struct link){.fd = connect_to(o)};
    if (o->tls != NULL) {
        l->ssl = SSL_new(o->tls);
        if (l->ssl == NULL || SSL_set_fd(l->ssl, l->fd) != 1 || SSL_connect(l->ssl) != 1)
            die("no TLS");
    }
    l->in = l->ssl != NULL ? fopencookie(l->ssl, "r", (cookie_io_functions_t){.read = read_tls})
                           : fdopen(l->fd, "r");
    if (l->in == NULL)
        die("out of memory");
}

static void close_link(struct link *l)
{
    fclose(l->in);
    if (l->ssl == NULL)
        return;
    SSL_free(l->ssl);
    close(l->fd);
}

static uint64_t run_session(const struct options *o, size_t user)
{
    char line[512], reply[REPLY_MAX];
    uint64_t octets = 0;
    struct link l;
    open_link(o, &l);
    FILE *in = l.in;
    take_reply(in, reply);
    snprintf(line, sizeof line, "USER user%zu@%s", user, o->domain);
    say(&l, line);
    take_reply(in, reply);
    snprintf(line, sizeof line, "PASS %s", o->password);
    say(&l, line);
    take_reply(in, reply);
    say(&l, "STAT");
    take_reply(in, reply);
    size_t messages = (size_t)strtoul(reply + 3, NULL, 10);
    if (o->with_uidl) {
        say(&l, "UIDL");
        take_reply(in, reply);
        octets += take_lines(in);
    }
    for (size_t i = 1; o->with_retr && i <= messages; i++) {
        snprintf(line, sizeof line, "RETR %zu", i);
        say(&l, line);
        take_reply(in, reply);
        octets += take_lines(in);
    }
    say(&l, "QUIT");
    take_reply(in, reply);
    close_link(&l);
    return octets;
}

/* --- the run --- */

static uint64_t run_clients(const struct options *o)
{
    uint64_t *octets = mmap(NULL, o->clients * sizeof *octets, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (octets == MAP_FAILED)
        die("out of memory");
    for (size_t user = 0; user < o->clients; user++) {
        pid_t pid = fork();
        if (pid < 0)
            die("cannot fork");
        if (pid != 0)
            continue;
        for (size_t i = user; i < o->sessions; i += o->clients)
            octets[user] += run_session(o, user);
        exit(0);
    }
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += status != 0;
    if (failed > 0)
        exit(1);
    uint64_t sum = 0;
    for (size_t user = 0; user < o->clients; user++)
        sum += octets[user];
    return sum;
}

static size_t number(const char *text, size_t max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || n == 0 || n > max)
        die("an option's number is out of range");
    return n;
}

static void set_options(struct options *o, int argc, char **argv)
{
    *o = (struct options){.clients = 20, .sessions = 2000};
    for (int c; (c = getopt(argc, argv, "c:n:m:td:p:")) != -1;) {
        if (c == 'c')
            o->clients = number(optarg, CLIENTS_MAX);
        else if (c == 'n')
            o->sessions = number(optarg, 100000000);
        else if (c == 'm')
            o->with_uidl = strcmp(optarg, "uidl") == 0, o->with_retr = strcmp(optarg, "retr") == 0;
        else if (c == 't')
            o->tls = SSL_CTX_new(TLS_client_method());
        else if (c == 'd')
            o->domain = optarg;
        else if (c == 'p')
            o->password = optarg;
        else
            optind = argc;
    }
    if (argc - optind != 2 || o->domain == NULL || o->password == NULL)
        die("usage: popload [-c CLIENTS] [-n SESSIONS] [-m stat|uidl|retr] [-t] -d DOMAIN -p "
            "PASSWORD ADDRESS PORT");
    o->server.sin_family = AF_INET;
    o->server.sin_port = htons((uint16_t)number(argv[optind + 1], 65535));
    if (inet_pton(AF_INET, argv[optind], &o->server.sin_addr) != 1)
        die("ADDRESS is an IPv4 address");
}

int main(int argc, char **argv)
{
    struct options o;
    set_options(&o, argc, argv);
    double began = now_s();
    uint64_t octets = run_clients(&o);
    double seconds = now_s() - began;
    printf("sessions=%zu seconds=%.3f rate=%.0f octets=%llu\n", o.sessions, seconds,
           (double)o.sessions / seconds, (unsigned long long)octets);
    return 0;
}
