#include "cli/wire.h"

#include "common/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_MS  30000
#define CA_FILE_MAX (8U << 20)

#define LOST   "the connection to the server was lost"
#define SILENT "the server says nothing any more"

/* --- connecting --- */

static void set_patience(int fd, int option, int seconds)
{
    struct timeval patience = {.tv_sec = seconds};
    setsockopt(fd, SOL_SOCKET, option, &patience, sizeof patience);
}

/* 0, or -1 (errno). */
static int connect_in_time(int fd, const struct addrinfo *a)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    int why = 0;
    socklen_t n = sizeof why;
    set_patience(fd, SO_RCVTIMEO, WIRE_TIMEOUT_S);
    set_patience(fd, SO_SNDTIMEO, CONNECT_MS / 1000); /* connect waits so long */
    int rc = connect(fd, a->ai_addr, a->ai_addrlen);
    if (rc < 0 && errno == EINTR) {
        if (poll(&ready, 1, CONNECT_MS) != 1 ||
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n) < 0 || why != 0)
            errno = why != 0 ? why : ETIMEDOUT;
        else
            rc = 0;
    }
    int saved = errno;
    set_patience(fd, SO_SNDTIMEO, WIRE_TIMEOUT_S);
    errno = saved;
    return rc;
}

static bool is_here(const struct addrinfo *a)
{
    struct sockaddr_storage ss = {0};
    struct netaddr address;
    if (a->ai_addrlen > sizeof ss)
        return false;
    memcpy(&ss, a->ai_addr, a->ai_addrlen);
    return netaddr_from_sockaddr(&ss, &address) == 0 && netaddr_is_loopback(&address);
}

static int connect_to(struct wire *w, const struct addrinfo *found, const char *host,
                      enum wire_tls how, bool *is_temporary, struct error *e)
{
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        w->is_here = is_here(a);
        if (how == WIRE_CLEAR && !w->is_here) {
            *is_temporary = false;
            error_set(e,
                      "%s is not this machine, and passwords do not go over a network without "
                      "TLS: leave out --no-tls, or say --insecure too",
                      host);
            continue;
        }
        w->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (w->fd >= 0 && connect_in_time(w->fd, a) == 0)
            return 0;
        int why = errno;
        wire_close(w);
        *is_temporary = true;
        error_set(e, "cannot connect to %s: %s", host, strerror(why));
    }
    return -1;
}

int wire_connect(struct wire *w, const char *host, const char *port, enum wire_tls how,
                 bool *is_temporary, struct error *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    *w = (struct wire){.fd = -1};
    int why = getaddrinfo(host, port, &hints, &found);
    if (why != 0) {
        *is_temporary = why == EAI_AGAIN || why == EAI_MEMORY || why == EAI_SYSTEM;
        return error_set(e, "cannot find %s: %s", host, gai_strerror(why));
    }
    error_set(e, "%s has no address", host);
    int rc = connect_to(w, found, host, how, is_temporary, e);
    freeaddrinfo(found);
    return rc;
}

void wire_close(struct wire *w)
{
    if (w->tls != NULL)
        tls_close(w->tls);
    tls_free(w->tls);
    tls_client_free(w->client);
    if (w->fd >= 0)
        close(w->fd);
    *w = (struct wire){.fd = -1};
}

/* --- who is there --- */

int wire_read_pin(struct wire_trust *t, struct span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = ascii_lower(text.p[i]);
        if (c == ':')
            continue;
        if (strchr("0123456789abcdef", c) == NULL || c == '\0' || n + 1 >= sizeof t->pin)
            return -1;
        t->pin[n++] = c;
    }
    t->pin[n] = '\0';
    return n + 1 == sizeof t->pin ? 0 : -1;
}

/* The whole file, to be freed; NULL and errno. */
static char *read_file(const char *name, size_t *n)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text = NULL;
    *n = 0;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0 || st.st_size > CA_FILE_MAX)
        errno = EFBIG;
    else
        text = malloc((size_t)st.st_size + 1);
    for (ssize_t got = 1; text != NULL && got > 0 && *n < (size_t)st.st_size;) {
        got = read(fd, text + *n, (size_t)st.st_size - *n);
        *n += got > 0 ? (size_t)got : 0;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return text;
}

static char *read_authorities(const char *given, size_t *n, struct error *e)
{
    /* Debian and Alpine; Red Hat; SUSE; BSD */
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    char *text = given != NULL ? read_file(given, n) : NULL;
    if (given != NULL && text == NULL)
        error_set(e, "--ca-file: %.200s: %s", given, strerror(errno));
    if (given != NULL)
        return text;
    for (size_t i = 0; text == NULL && i < sizeof places / sizeof places[0]; i++)
        text = read_file(places[i], n);
    if (text == NULL)
        error_set(e, "this machine has no list of authorities (install ca-certificates): name one "
                     "with --ca-file, or say --pin");
    return text;
}

static struct tls_client *new_client(const struct wire_trust *trust, struct error *e)
{
    size_t n = 0;
    char *text = NULL;
    if (tls_init() < 0) {
        error_set(e, "OpenSSL does not start");
        return NULL;
    }
    if (trust->pin[0] == '\0' && (text = read_authorities(trust->ca_file, &n, e)) == NULL)
        return NULL;
    struct tls_client *c = NULL;
    if (text != NULL && n == 0)
        error_set(e, "the list of authorities is empty");
    else
        c = tls_client_new((struct span){text, n}, e);
    free(text);
    return c;
}

static int judge(struct wire *w, const char *host, const struct wire_trust *trust, struct error *e)
{
    const struct tls_info *info = tls_info(w->tls);
    if (trust->pin[0] != '\0')
        return strcmp(info->fingerprint, trust->pin) == 0
                   ? 0
                   : error_set(e,
                               "%.200s shows another certificate than the one pinned: its SHA-256 "
                               "is %s",
                               host, info->fingerprint[0] != '\0' ? info->fingerprint : "none");
    if (info->is_verified)
        return 0;
    return error_set(e,
                     "the certificate of %.100s is not trusted: %.100s; name its authority with "
                     "--ca-file, or itself with --pin %s",
                     host, info->unverified_because, info->fingerprint);
}

int wire_secure(struct wire *w, const char *host, const struct wire_trust *trust,
                bool *is_temporary, struct error *e)
{
    *is_temporary = false;
    w->client = new_client(trust, e);
    if (w->client == NULL)
        return -1;
    w->tls = tls_connect(w->client, w->fd, &(struct tls_wish){.host = span_of(host)});
    if (w->tls == NULL)
        return error_set(e, "no memory for TLS");
    *is_temporary = true;
    switch (tls_handshake(w->tls)) {
    case TLS_DONE:
        break;
    case TLS_WANTS_READ:
    case TLS_WANTS_WRITE:
        return error_set(e, SILENT);
    case TLS_ENDED:
        return error_set(e, "the server closed the connection in the TLS handshake");
    case TLS_FAILED:
        return error_set(e, "TLS with %.200s failed: %s", host, tls_why(w->tls));
    }
    *is_temporary = false;
    return judge(w, host, trust, e);
}

/* --- octets --- */

static ssize_t read_tls(struct wire *w, char *out, size_t cap, struct error *e)
{
    size_t n;
    switch (tls_read(w->tls, out, cap, &n)) {
    case TLS_DONE:
        return (ssize_t)n;
    case TLS_ENDED:
        return 0;
    case TLS_WANTS_READ:
    case TLS_WANTS_WRITE:
        return error_set(e, SILENT);
    case TLS_FAILED:
        break;
    }
    return error_set(e, LOST ": %s", tls_why(w->tls));
}

ssize_t wire_read(struct wire *w, char *out, size_t cap, struct error *e)
{
    ssize_t n;
    if (w->fd < 0)
        return error_set(e, LOST);
    if (w->tls != NULL)
        return read_tls(w, out, cap, e);
    do
        n = recv(w->fd, out, cap, 0);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return error_set(e, errno == EAGAIN || errno == EWOULDBLOCK ? SILENT : LOST);
}

int wire_write(struct wire *w, struct span s, struct error *e)
{
    while (s.n > 0) {
        size_t wrote = 0;
        if (w->fd < 0)
            return error_set(e, LOST);
        if (w->tls != NULL && tls_write(w->tls, s, &wrote) != TLS_DONE)
            return error_set(e, LOST);
        if (w->tls == NULL) {
            ssize_t n = send(w->fd, s.p, s.n, MSG_NOSIGNAL);
            if (n < 0 && errno != EINTR)
                return error_set(e, LOST);
            wrote = n > 0 ? (size_t)n : 0;
        }
        s = span_from(s, wrote);
    }
    return 0;
}
