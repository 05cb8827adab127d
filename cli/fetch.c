/* `barid fetch`: collects mail from a POP3 server. Each message is on disk, with its row in the
 * list of what was fetched, before the server may delete it; a run that is killed is gone on with.
 */
#include "cli/fetch_box.h"
#include "cli/pop3.h"
#include "cli/tables.h"
#include "cli/text.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sysexits.h>

#define WINDOW       16 /* commands under way, if the server takes several */
#define SIZE_DEFAULT (UINT64_C(1) << 30)
#define DAY_S        86400
#define POP3S_PORT   995

enum keep { KEEP_ALL, KEEP_NONE, KEEP_DAYS };

struct fetching {
    struct cli *cli;
    struct pop3_server server;
    const char *user;
    enum keep keep;
    int64_t keep_s;
    uint64_t size_max;
    char account[PATH_MAX + 600]; /* who, where, and where to: the key in the list */
    char path[PATH_MAX];
    struct secret_text password;
    struct pop3 pop3;
    struct pop3_list list;
    struct fetch_state *state;
    struct fetch_box box;
    uint32_t *wanted, *doomed; /* indices in list: to be fetched, to be deleted */
    size_t n_wanted, n_doomed;
    size_t n_fetched, n_too_large, n_odd;
    bool is_temporary; /* of the failure */
    bool has_run;      /* it got as far as to collect */
};

/* --- options --- */

static int read_server(struct fetching *f, struct error *e)
{
    struct span text = cli_option(f->cli, "server"), host = text;
    enum wire_tls tls = f->server.tls;
    /* Who says how the server is to be known wants TLS, also on this machine. */
    bool is_known = f->server.trust.pin[0] != '\0' || f->server.trust.ca_file != NULL;
    bool wants_110 = tls == WIRE_UPGRADE || tls == WIRE_CLEAR || tls == WIRE_CLEAR_OK;
    struct span port = wants_110 ? SPAN("110") : SPAN("995");
    uint64_t number;
    if (text.n > 0 && text.p[0] == '[') {
        struct span rest = span_from(text, 1);
        host = span_cut(&rest, ']');
        if (rest.p != NULL && rest.n > 1 && rest.p[0] == ':')
            port = span_from(rest, 1);
    } else if (text.n > 0 && memchr(text.p, ':', text.n) != NULL) {
        port = text;
        host = span_cut(&port, ':');
    }
    if (host.n == 0 || span_copy(f->server.host, sizeof f->server.host, host) < 0 ||
        span_u64(port, &number) < 0 || number == 0 || number > UINT16_MAX)
        return error_set(e, "--server: '%.100s' is not HOST or HOST:PORT", text.p);
    snprintf(f->server.port, sizeof f->server.port, "%u", (unsigned)number);
    if (tls == WIRE_AUTO && number == POP3S_PORT)
        f->server.tls = WIRE_IMPLICIT;
    else if (tls == WIRE_AUTO && is_known)
        f->server.tls = WIRE_UPGRADE;
    return 0;
}

static int read_tls(struct fetching *f, struct error *e)
{
    bool implicit = cli_option(f->cli, "tls").p != NULL,
         upgrade = cli_option(f->cli, "stls").p != NULL,
         clear = cli_option(f->cli, "no-tls").p != NULL,
         insecure = cli_option(f->cli, "insecure").p != NULL;
    struct span pin = cli_option(f->cli, "pin");
    struct wire_trust *trust = &f->server.trust;
    trust->ca_file = cli_option(f->cli, "ca-file").p;
    if (implicit + upgrade + clear > 1)
        return error_set(e, "--tls, --stls and --no-tls exclude each other");
    if (insecure && !clear)
        return error_set(e, "--insecure goes with --no-tls; to trust one certificate, say --pin");
    if (clear && (pin.p != NULL || trust->ca_file != NULL))
        return error_set(e, "--no-tls has no use for --pin and --ca-file");
    if (pin.p != NULL && wire_read_pin(trust, pin) < 0)
        return error_set(e, "--pin: '%.80s' is not a SHA-256 in hex", pin.p);
    f->server.tls = implicit   ? WIRE_IMPLICIT
                    : upgrade  ? WIRE_UPGRADE
                    : insecure ? WIRE_CLEAR_OK
                    : clear    ? WIRE_CLEAR
                               : WIRE_AUTO;
    return 0;
}

static int read_keep(struct fetching *f, struct error *e)
{
    struct span days = cli_option(f->cli, "keep-days");
    bool keeps = cli_option(f->cli, "keep").p != NULL,
         deletes = cli_option(f->cli, "delete").p != NULL;
    uint64_t n = 0;
    if (keeps + deletes + (days.p != NULL) > 1)
        return error_set(e, "--keep, --delete and --keep-days exclude each other");
    if (days.p != NULL && (span_u64(days, &n) < 0 || n > 36500))
        return error_set(e, "--keep-days: '%.40s' is not a number of days", days.p);
    f->keep = deletes ? KEEP_NONE : days.p != NULL ? KEEP_DAYS : KEEP_ALL;
    f->keep_s = (int64_t)n * DAY_S;
    return 0;
}

/* "10M". */
static int read_size(struct fetching *f, struct error *e)
{
    struct span text = cli_option(f->cli, "size-max");
    unsigned shift = 0;
    f->size_max = SIZE_DEFAULT;
    if (text.p == NULL)
        return 0;
    struct span digits = text;
    const char *unit = text.n > 0 ? strchr("KMG", text.p[text.n - 1]) : NULL;
    if (unit != NULL) {
        shift = *unit == 'K' ? 10 : *unit == 'M' ? 20 : 30;
        digits.n--;
    }
    if (span_u64(digits, &f->size_max) < 0 || f->size_max > (UINT64_C(1) << 40) >> shift)
        return error_set(e, "--size-max: '%.40s' is not a size like 20M", text.p);
    f->size_max <<= shift;
    return 0;
}

/* The name as it stands, made absolute: the working directory changes. */
static int absolute(const char *name, char out[PATH_MAX], struct error *e)
{
    char here[PATH_MAX] = "";
    if (name[0] != '/' && getcwd(here, sizeof here) == NULL)
        return error_set(e, "cannot tell the working directory: %s", strerror(errno));
    int n = snprintf(out, PATH_MAX, "%s%s%s", here, name[0] == '/' ? "" : "/", name);
    while (n > 1 && n < PATH_MAX && out[n - 1] == '/')
        out[--n] = '\0';
    return n > 1 && n < PATH_MAX ? 0 : error_set(e, "'%.100s' is not a usable name", name);
}

static int read_box(struct fetching *f, struct error *e)
{
    const char *maildir = cli_option(f->cli, "maildir").p, *mbox = cli_option(f->cli, "mbox").p;
    const char *rcpt = cli_option(f->cli, "deliver").p;
    if ((maildir != NULL) + (mbox != NULL) + (rcpt != NULL) != 1)
        return error_set(e, "one of --maildir, --mbox and --deliver says where the mail goes");
    f->box = (struct fetch_box){.path = f->path, .rcpt = rcpt};
    f->box.smtp.fd = -1;
    if (rcpt == NULL) {
        f->box.kind = maildir != NULL ? FETCH_MAILDIR : FETCH_MBOX;
        return absolute(maildir != NULL ? maildir : mbox, f->path, e);
    }
    f->box.kind = FETCH_SUBMIT;
    if (strpbrk(rcpt, "<> \r\n") != NULL)
        return error_set(e, "--deliver: '%.100s' is not an address", rcpt);
    if (cli_load(f->cli, e) < 0)
        return -1;
    snprintf(f->path, sizeof f->path, "%.*s/submit", PATH_MAX - 10, f->cli->config->run_dir);
    return 0;
}

static int read_options(struct fetching *f, struct error *e)
{
    static const char *const words[] = {"maildir", "mbox", "deliver"};
    f->user = cli_option(f->cli, "user").p;
    bool is_info = cli_option(f->cli, "serverinfo").p != NULL;
    if (cli_option(f->cli, "server").p == NULL || (f->user == NULL && !is_info))
        return error_set(e, "--server and --user are needed");
    if (read_tls(f, e) < 0 || read_server(f, e) < 0 || read_keep(f, e) < 0 || read_size(f, e) < 0)
        return -1;
    if (is_info)
        return 0;
    if (read_box(f, e) < 0)
        return -1;
    const char *to = f->box.kind == FETCH_SUBMIT ? f->box.rcpt : f->path;
    int n = snprintf(f->account, sizeof f->account, "%.400s@%s:%s %s:%s", f->user, f->server.host,
                     f->server.port, words[f->box.kind], to);
    return n > 0 && n < 4096 ? 0 : error_set(e, "the names are too long");
}

static int read_password(struct fetching *f, struct error *e)
{
    const char *file = cli_option(f->cli, "password-file").p;
    if (file == NULL)
        return secret_read(f->cli, &f->password, e);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, f->password.octets, sizeof f->password.octets - 2);
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return error_set(e, "--password-file: %.200s: %s", file, strerror(why));
    struct span text = {f->password.octets, (size_t)n};
    struct span line = span_cut(&text, '\n');
    f->password.n = line.n > 0 && line.p[line.n - 1] == '\r' ? line.n - 1 : line.n;
    return f->password.n > 0
               ? 0
               : error_set(e, "--password-file: the first line of %.200s is empty", file);
}

/* --- which messages --- */

struct listed {
    struct pop3_message *message;
};

static int compare_uidls(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return strcmp(x->message->uidl, y->message->uidl);
}

/* Two messages with one UIDL cannot be told apart, so neither is fetched or deleted; their uidl is
 * emptied. 0, or -1 without memory. */
static int mark_doubles(struct fetching *f)
{
    struct listed *sorted = alloc_array(f->list.n + 1, sizeof *sorted);
    if (sorted == NULL)
        return -1;
    for (size_t i = 0; i < f->list.n; i++)
        sorted[i].message = &f->list.list[i];
    qsort(sorted, f->list.n, sizeof *sorted, compare_uidls);
    for (size_t i = 0, end; i < f->list.n; i = end) {
        for (end = i + 1;
             end < f->list.n && strcmp(sorted[end].message->uidl, sorted[i].message->uidl) == 0;)
            end++;
        bool is_odd = end - i > 1 || sorted[i].message->uidl[0] == '\0';
        for (size_t k = end; is_odd && k > i; k--, f->n_odd++)
            sorted[k - 1].message->uidl[0] = '\0';
    }
    free(sorted);
    return 0;
}

static bool is_to_go(const struct fetching *f, int64_t fetched_s)
{
    return f->keep == KEEP_NONE ||
           (f->keep == KEEP_DAYS && clock_wall_s() - fetched_s >= f->keep_s);
}

static int choose_one(struct fetching *f, uint32_t i, struct error *e)
{
    const struct pop3_message *m = &f->list.list[i];
    struct fetch_seen seen;
    bool is_there = false;
    if (m->uidl[0] == '\0')
        return 0;
    if (fetch_state_find(f->state, f->account, m->uidl, &is_there, &seen, e) < 0)
        return -1;
    if (!is_there && m->size > f->size_max)
        f->n_too_large++;
    else if (!is_there)
        f->wanted[f->n_wanted++] = i;
    else if (is_to_go(f, seen.fetched_s))
        f->doomed[f->n_doomed++] = i;
    return is_there ? fetch_state_listed(f->state, f->account, m->uidl, e) : 0;
}

static int choose(struct fetching *f, struct error *e)
{
    if (pop3_list(&f->pop3, &f->list, e) < 0) {
        f->is_temporary = f->pop3.is_temporary;
        return -1;
    }
    f->wanted = alloc_array(f->list.n + 1, sizeof *f->wanted);
    f->doomed = alloc_array(f->list.n + 1, sizeof *f->doomed);
    if (f->wanted == NULL || f->doomed == NULL || mark_doubles(f) < 0)
        return error_set(e, "no memory");
    for (uint32_t i = 0; i < f->list.n; i++)
        if (choose_one(f, i, e) < 0)
            return -1;
    return fetch_state_prune(f->state, f->account, e);
}

/* --- fetching --- */

/* Content came whole: the four steps of fetch_box.h but the last. */
static int keep_message(struct fetching *f, const struct pop3_message *m, struct error *e)
{
    struct fetch_seen seen;
    struct error why;
    if (fetch_box_end(&f->box, &seen, e) < 0)
        return -1;
    if (fetch_state_add(f->state, f->account, m->uidl, &seen, e) < 0) {
        fetch_box_leave(&f->box); /* the row may be on disk after all: the next run looks */
        return -1;
    }
    if (fetch_box_publish(&f->box, &seen, e) == 0)
        return f->box.kind == FETCH_MAILDIR
                   ? 0
                   : fetch_state_settle_one(f->state, f->account, m->uidl, e);
    if (fetch_state_forget(f->state, f->account, m->uidl, &why) < 0)
        fetch_box_leave(&f->box); /* the row is pending, so its part has to stay */
    return -1;
}

static int fetch_one(struct fetching *f, uint32_t i, struct error *e)
{
    const struct pop3_message *m = &f->list.list[i];
    uint64_t slack = m->size + m->size / 8 + 65536; /* sizes of some servers are wrong */
    bool is_ok;
    if (pop3_status(&f->pop3, &is_ok, e) < 0) {
        f->is_temporary = true;
        return -1;
    }
    if (!is_ok) /* gone meanwhile, or damaged there */
        return 0;
    int rc = fetch_box_begin(&f->box, e);
    if (rc == 0)
        rc = pop3_content(&f->pop3, slack > f->size_max ? slack : f->size_max, fetch_box_write,
                          &f->box, e);
    f->is_temporary = f->pop3.is_temporary;
    if (rc == 0) {
        rc = keep_message(f, m, e);
        f->is_temporary = f->box.is_temporary;
    }
    if (rc < 0) {
        fetch_box_drop(&f->box);
        return -1;
    }
    f->n_fetched++;
    if (is_to_go(f, clock_wall_s()))
        f->doomed[f->n_doomed++] = i;
    return 0;
}

typedef int each_fn(struct fetching *f, uint32_t i, struct error *e);

/* Says a command for each of the messages, several ahead if the server takes that, and has `fn`
 * hear each answer. */
static int each(struct fetching *f, const char *command, const uint32_t *which, size_t n,
                each_fn *fn, struct error *e)
{
    size_t said = 0, window = f->pop3.has_pipelining ? WINDOW : 1;
    for (size_t done = 0; done < n; done++) {
        for (; said < n && said < done + window; said++)
            if (pop3_say(&f->pop3, e, "%s %u", command,
                         (unsigned)f->list.list[which[said]].number) < 0) {
                f->is_temporary = true;
                return -1;
            }
        if (fn(f, which[done], e) < 0)
            return -1;
    }
    return 0;
}

static int delete_one(struct fetching *f, uint32_t i, struct error *e)
{
    bool is_ok;
    (void)i; /* a server that refuses keeps it: the next run asks again */
    f->is_temporary = true;
    return pop3_status(&f->pop3, &is_ok, e);
}

/* What a killed run left between two steps. */
static int recover(struct fetching *f, struct error *e)
{
    struct fetch_seen seen;
    char uidl[FETCH_NAME_MAX];
    bool is_pending, is_there;
    for (;;) {
        if (fetch_state_pending(f->state, f->account, uidl, &seen, &is_pending, e) < 0)
            return -1;
        if (!is_pending)
            return fetch_box_sync(&f->box, e);
        if (fetch_box_recover(&f->box, &seen, &is_there, e) < 0 || fetch_box_sync(&f->box, e) < 0)
            return -1;
        int rc = is_there ? fetch_state_settle_one(f->state, f->account, uidl, e)
                          : fetch_state_forget(f->state, f->account, uidl, e);
        if (rc < 0)
            return -1;
        fetch_box_discard(&f->box, &seen);
    }
}

static int collect(struct fetching *f, struct error *e)
{
    if (recover(f, e) < 0 || choose(f, e) < 0)
        return -1;
    f->is_temporary = false;
    if (each(f, "RETR", f->wanted, f->n_wanted, fetch_one, e) < 0)
        return -1;
    f->is_temporary = true;
    if (fetch_box_sync(&f->box, e) < 0 || fetch_state_settle(f->state, f->account, e) < 0 ||
        each(f, "DELE", f->doomed, f->n_doomed, delete_one, e) < 0)
        return -1;
    return pop3_quit(&f->pop3, e);
}

/* --- the command --- */

/* Where XDG wants state, else ~/.local/state. */
static int state_dir(const struct fetching *f, char out[PATH_MAX], struct error *e)
{
    const char *given = cli_option(f->cli, "state-dir").p, *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (given != NULL)
        return absolute(given, out, e);
    bool has_xdg = xdg != NULL && xdg[0] == '/';
    if (!has_xdg && (home == NULL || home[0] != '/'))
        return error_set(e, "HOME is not set: name a directory with --state-dir");
    int n =
        snprintf(out, PATH_MAX, "%s%s/barid", has_xdg ? xdg : home, has_xdg ? "" : "/.local/state");
    return n > 0 && n < PATH_MAX ? 0 : error_set(e, "the name of the state directory is too long");
}

static int log_in(struct fetching *f, struct error *e)
{
    f->is_temporary = false;
    if (read_password(f, e) < 0)
        return -1;
    int rc = pop3_open(&f->pop3, &f->server, e);
    if (rc == 0)
        rc = pop3_login(&f->pop3, f->user, (struct span){f->password.octets, f->password.n}, e);
    f->is_temporary = f->pop3.is_temporary;
    return rc;
}

static int fetch(struct fetching *f, struct error *e)
{
    char dir[PATH_MAX];
    bool is_busy = false;
    if (state_dir(f, dir, e) < 0)
        return -1;
    if (log_in(f, e) < 0)
        return -1;
    int rc = fetch_box_open(&f->box, e);
    f->is_temporary = f->box.is_temporary;
    if (rc == 0) {
        f->state = fetch_state_open(dir, &is_busy, e);
        f->is_temporary = is_busy;
        rc = f->state != NULL ? collect(f, e) : -1;
    }
    f->has_run = f->state != NULL;
    fetch_state_close(f->state);
    f->state = NULL;
    fetch_box_close(&f->box);
    return rc;
}

static const char *yes(bool is_so)
{
    return is_so ? "yes" : "no";
}

static int show_server(struct fetching *f, struct error *e)
{
    int rc = pop3_open(&f->pop3, &f->server, e);
    f->is_temporary = f->pop3.is_temporary;
    if (rc < 0)
        return -1;
    const struct pop3 *p = &f->pop3;
    if (p->wire.tls != NULL)
        printf("TLS %s %s, SHA-256 of the certificate %s\n", tls_info(p->wire.tls)->version,
               tls_info(p->wire.tls)->cipher, tls_info(p->wire.tls)->fingerprint);
    printf("CAPA %s, UIDL %s, PIPELINING %s, STLS %s, TOP %s, SASL%s%s%s%s\n", yes(p->has_capa),
           yes(p->has_uidl), yes(p->has_pipelining), yes(p->has_stls), yes(p->has_top),
           p->has_scram_plus ? " SCRAM-SHA-256-PLUS" : "", p->has_scram ? " SCRAM-SHA-256" : "",
           p->has_plain ? " PLAIN" : "",
           p->has_scram_plus || p->has_scram || p->has_plain ? "" : " no");
    return pop3_quit(&f->pop3, e);
}

static void tell(const struct fetching *f)
{
    if (f->n_too_large > 0)
        cli_fail(f->cli, "%zu messages over --size-max stay on the server", f->n_too_large);
    if (f->n_odd > 0)
        cli_fail(f->cli, "%zu messages stay on the server: it gives them no UIDL of their own",
                 f->n_odd);
    if (f->cli->is_json)
        printf("{\"fetched\": %zu, \"deleted\": %zu, \"too_large\": %zu, \"on_server\": %zu}\n",
               f->n_fetched, f->n_doomed, f->n_too_large, f->list.n);
    else
        printf("%zu messages fetched, %zu deleted on the server\n", f->n_fetched, f->n_doomed);
}

static int fetch_main(struct cli *cli)
{
    static struct fetching f; /* large */
    struct error e = {{0}};
    f = (struct fetching){.cli = cli};
    f.pop3.wire.fd = -1;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    if (read_options(&f, &e) < 0)
        return cli_wrong_usage(cli, "%s", e.text);
    bool is_info = cli_option(cli, "serverinfo").p != NULL;
    int rc = is_info ? show_server(&f, &e) : fetch(&f, &e);
    pop3_close(&f.pop3);
    sodium_memzero(&f.password, sizeof f.password);
    if (rc < 0)
        cli_fail(cli, "%s", e.text);
    if (f.has_run)
        tell(&f);
    pop3_list_free(&f.list);
    free(f.wanted);
    free(f.doomed);
    return rc == 0 ? EXIT_DONE : f.is_temporary ? EX_TEMPFAIL : EXIT_REFUSED;
}

static const struct command commands[] = {
    {.words = "fetch",
     .usage = "--server HOST[:PORT] --user USER (--password-file FILE|--password-stdin) "
              "(--maildir DIR|--mbox FILE|--deliver ADDRESS) [--keep|--delete|--keep-days N] "
              "[--size-max SIZE] [--state-dir DIR] [--tls|--stls|--no-tls [--insecure]] "
              "[--ca-file FILE] [--pin SHA256] [--serverinfo]",
     .summary = "collect mail from a POP3 server",
     .options = {"server=", "user=", "password-file=", "maildir=", "mbox=", "deliver=", "keep",
                 "delete", "keep-days=", "size-max=", "state-dir=", "serverinfo", "tls", "stls",
                 "no-tls", "insecure", "ca-file=", "pin=", NULL},
     .secret = SECRET_OPTIONAL,
     .run = fetch_main},
};
const struct command_table fetch_table = {commands, sizeof commands / sizeof *commands};
