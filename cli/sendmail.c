#include "cli/sendmail.h"

#include "cli/cli.h"
#include "cli/header.h"
#include "cli/hold.h"
#include "cli/letter.h"
#include "cli/mailq.h"
#include "cli/pump.h"
#include "cli/smtpout.h"
#include "cli/text.h"
#include "cli/textin.h"
#include "common/addr.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/notify.h"
#include "common/spawn.h"
#include "common/unixsock.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <sodium.h>
#include <stdarg.h>
#include <sysexits.h>

#define HEADER_MAX 262144 /* as the server takes it */
#define AHEAD      65536  /* read before we connect, so that most messages do not keep a session */
#define PIECE      16384

struct sending {
    struct sendmail *args;
    struct textin textin;
    struct buf text; /* read, not yet sent */
    bool is_all_read;
    size_t header, body; /* in text: where the header section ends, where the body begins */
    struct letter letter;
    struct smtpout smtp;
    char from[ADDRESS_MAX]; /* envelope sender; "" the null one */
    char user[ADDRESS_MAX]; /* mailbox of who runs us */
    char full_name[256];
};

static int complain(const struct sendmail *s, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int complain(const struct sendmail *s, int status, const char *fmt, ...)
{
    char text[1024];
    struct buf out;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_init(&out, 16 * sizeof text);
    if (text_terminal(&out, span_of(text)) == 0)
        fprintf(stderr, "%s: %.*s\n", s->program, (int)buf_span(&out).n, buf_span(&out).p);
    buf_free(&out);
    return status;
}

/* --- reading --- */

/* Reads some of stdin. 0, or the exit status (said). */
static int read_more(struct sending *g)
{
    char piece[PIECE];
    ssize_t n;
    do
        n = read(STDIN_FILENO, piece, sizeof piece);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return complain(g->args, EX_IOERR, "cannot read the message: %s", strerror(errno));
    int rc = n > 0 ? textin_take(&g->textin, (struct span){piece, (size_t)n}, &g->text)
                   : textin_end(&g->textin, &g->text);
    g->is_all_read = n == 0 || g->textin.is_over;
    return rc == 0 ? 0 : complain(g->args, EX_TEMPFAIL, "no memory");
}

/* "From somebody Sat Nov 22…" of a mailbox file, in front of the header. */
static void skip_mbox_line(struct sending *g)
{
    struct span text = buf_span(&g->text);
    const char *lf = text.n > 0 ? memchr(text.p, '\n', text.n) : NULL;
    if (lf != NULL && span_starts(text, SPAN("From ")))
        buf_consume(&g->text, (size_t)(lf - text.p) + 1);
}

/* The header section, and some of the body. */
static int read_beginning(struct sending *g)
{
    bool has_header = false;
    while (!g->is_all_read && buf_span(&g->text).n < (has_header ? AHEAD : HEADER_MAX)) {
        int status = read_more(g);
        if (status != 0)
            return status;
        has_header =
            has_header || header_find_end(buf_span(&g->text), false, &g->header, &g->body) == 0;
    }
    skip_mbox_line(g);
    if (header_find_end(buf_span(&g->text), g->is_all_read, &g->header, &g->body) < 0)
        return complain(g->args, EX_DATAERR, "the header section is over %d octets", HEADER_MAX);
    return 0;
}

/* --- who --- */

static int find_rcpts(struct sending *g)
{
    struct error e;
    const struct sendmail *a = g->args;
    for (size_t i = 0; i < a->n_rcpts; i++)
        if (letter_add(&g->letter, span_of(a->rcpts[i]), &e) < 0)
            return complain(a, EX_USAGE, "%s", e.text);
    struct span header = {buf_span(&g->text).p, g->header};
    if (a->reads_rcpts && letter_add_from_header(&g->letter, header, &e) < 0)
        return complain(a, EX_DATAERR, "%s", e.text);
    if (g->letter.n == 0)
        return complain(a, EX_USAGE, "%s",
                        a->reads_rcpts ? "nobody is named in To, Cc or Bcc"
                                       : "no recipients: name them, or use -t");
    return 0;
}

struct first {
    char text[FIELD_ADDRESS_MAX + 3];
    unsigned n;
};

static int keep_first(void *arg, struct span text, size_t behind)
{
    (void)behind;
    struct first *f = arg;
    if (f->n++ == 0)
        snprintf(f->text, sizeof f->text, "<%.*s>", (int)text.n, text.p);
    return 0;
}

/* "user" and "user@domain" and "Name <user@domain>" into an address with a domain. 0, or -1. */
static int whole_address(const char *text, const char *domain, char out[ADDRESS_MAX])
{
    struct first f = {.n = 0};
    struct addr a;
    size_t used;
    field_addresses(span_of(text), keep_first, &f);
    if (f.n != 1 || addr_parse(span_of(f.text), ADDR_LOCAL_PATH, &a, &used) < 0 ||
        used != strlen(f.text))
        return -1;
    int n = snprintf(out, ADDRESS_MAX, "%s%s%s", a.text, a.domain[0] != '\0' ? "" : "@",
                     a.domain[0] != '\0' ? "" : domain);
    return n > 0 && n < ADDRESS_MAX ? 0 : -1;
}

static void find_user(struct sending *g)
{
    const struct passwd *who = getpwuid(getuid());
    char name[64];
    snprintf(name, sizeof name, "uid%u", (unsigned)getuid());
    if (who == NULL || whole_address(who->pw_name, g->smtp.hostname, g->user) < 0)
        snprintf(g->user, sizeof g->user, "%s@%s", name, g->smtp.hostname);
    if (who != NULL && who->pw_gecos != NULL)
        snprintf(g->full_name, sizeof g->full_name, "%.*s", (int)strcspn(who->pw_gecos, ","),
                 who->pw_gecos);
}

static int find_sender(struct sending *g)
{
    const char *given = g->args->from;
    find_user(g);
    if (given == NULL)
        snprintf(g->from, sizeof g->from, "%s", g->user);
    else if (*given == '\0' || strcmp(given, "<>") == 0)
        g->from[0] = '\0';
    else if (whole_address(given, g->smtp.hostname, g->from) < 0)
        return complain(g->args, EX_USAGE, "-f: '%.200s' is not an address", given);
    if (g->args->full_name != NULL)
        snprintf(g->full_name, sizeof g->full_name, "%.200s", g->args->full_name);
    else if (given != NULL)
        g->full_name[0] = '\0'; /* the name of somebody else */
    return 0;
}

/* --- the envelope --- */

/* By the kind of the refusal (RFC 3463). */
static int status_of(const char *reply)
{
    static const struct {
        const char *code;
        int status;
    } codes[] = {{"5.1.1", EX_NOUSER}, {"5.1.3", EX_NOUSER}, {"5.1.2", EX_NOHOST},
                 {"5.7.", EX_NOPERM},  {"5.6.", EX_DATAERR}, {"5.3.4", EX_DATAERR},
                 {"5.4.6", EX_DATAERR}};
    if (reply[0] != '5')
        return EX_TEMPFAIL;
    for (size_t i = 0; strlen(reply) > 4 && i < sizeof codes / sizeof codes[0]; i++)
        if (strncmp(reply + 4, codes[i].code, strlen(codes[i].code)) == 0)
            return codes[i].status;
    return EX_UNAVAILABLE;
}

static int refused(const struct sending *g, const char *what)
{
    const char *reply = g->smtp.reply;
    return complain(g->args, status_of(reply), "%s: %.600s", what, reply);
}

static int say_mail(struct sending *g)
{
    const struct sendmail *a = g->args;
    char envid[ENVID_MAX + 1] = "", size[40] = "";
    if (a->envid != NULL && xtext_encode(span_of(a->envid), envid, ENVID_MAX + 1) < 0)
        return complain(a, EX_USAGE, "-V takes at most 100 printable characters");
    if (g->is_all_read && g->smtp.has_size)
        snprintf(size, sizeof size, " SIZE=%zu", buf_span(&g->text).n);
    char hold[HOLD_PARAM_MAX];
    struct error e;
    if (hold_is_wanted(&g->args->hold) && g->smtp.hold_max_s == 0)
        return complain(a, EX_UNAVAILABLE, "the mail system holds no messages for their senders");
    if (hold_param(&g->args->hold, g->smtp.hold_max_s, clock_wall_s(), hold, &e) < 0)
        return complain(a, EX_USAGE, "%s", e.text);
    bool has_ret = a->ret != NULL && g->smtp.has_dsn;
    bool has_envid = envid[0] != '\0' && g->smtp.has_dsn;
    int code =
        smtpout_ask(&g->smtp, "MAIL FROM:<%s>%s%s%s%s%s%s%s", g->from, size, hold,
                    g->smtp.has_8bitmime ? " BODY=8BITMIME" : "", has_ret ? " RET=" : "",
                    has_ret ? a->ret : "", has_envid ? " ENVID=" : "", has_envid ? envid : "");
    return code == 250 ? 0 : refused(g, "the sender was refused");
}

/* Those that exist get it, the others are named. If one cannot be decided now, nobody gets it: who
 * tries again later must not send to some of them twice. */
static int say_rcpts(struct sending *g, int *status)
{
    const char *notify = g->args->notify;
    size_t taken = 0;
    bool has_notify = notify != NULL && g->smtp.has_dsn;
    for (size_t i = 0; i < g->letter.n; i++) {
        int code = smtpout_ask(&g->smtp, "RCPT TO:<%s>%s%s", g->letter.rcpts[i],
                               has_notify ? " NOTIFY=" : "", has_notify ? notify : "");
        taken += code == 250;
        if (code == 250)
            continue;
        *status = refused(g, g->letter.rcpts[i]);
        if (*status == EX_TEMPFAIL)
            return EX_TEMPFAIL;
    }
    return taken > 0 ? 0 : *status;
}

/* --- the message --- */

static int send_header(struct sending *g)
{
    struct buf out;
    struct letter_frame frame = {
        .domain = span_of(g->smtp.hostname),
        .from = span_of(g->from[0] != '\0' ? g->from : g->user),
        .full_name = span_of(g->full_name),
        .wall_s = clock_wall_s(),
        .id = id_new(),
    };
    buf_init(&out, 4 * HEADER_MAX);
    int rc = letter_header(&out, (struct span){buf_span(&g->text).p, g->header}, &frame);
    if (rc == 0)
        rc = smtpout_content(&g->smtp, buf_span(&out));
    buf_free(&out);
    buf_consume(&g->text, g->body);
    return rc;
}

/* A lost connection is no end: the server then drops what it got. */
static int send_body(struct sending *g)
{
    int rc = 0;
    for (;;) {
        rc = smtpout_content(&g->smtp, buf_span(&g->text));
        buf_consume(&g->text, buf_span(&g->text).n);
        if (rc < 0 || g->is_all_read)
            break;
        int status = read_more(g);
        if (status != 0)
            return status;
    }
    return 0;
}

/* Its id, for who wants it back. */
static void tell_held(const struct sending *g)
{
    const char *space = strrchr(g->smtp.reply, ' ');
    char until[CLOCK_TEXT_MAX];
    uint64_t id;
    if (!hold_is_wanted(&g->args->hold))
        return;
    clock_rfc3339(until, g->args->hold.for_s > 0 ? clock_wall_s() + g->args->hold.for_s
                                                 : g->args->hold.until_s);
    bool has_id = space != NULL && id_parse(span_of(space + 1), &id) == 0;
    printf("%s is held until %s\n", has_id ? space + 1 : "the message", until);
}

static int send_message(struct sending *g)
{
    int status = EX_OK;
    int rc = say_mail(g);
    if (rc == 0)
        rc = say_rcpts(g, &status);
    if (rc != 0)
        return rc;
    if (smtpout_ask(&g->smtp, "DATA") != 354)
        return refused(g, "the message was refused");
    send_header(g); /* what goes wrong here is told by the reply at the end */
    rc = send_body(g);
    if (rc != 0) {
        close(g->smtp.fd); /* without the final dot */
        g->smtp.fd = -1;
        return rc;
    }
    if (smtpout_end(&g->smtp) != 250)
        return refused(g, "the message was refused");
    tell_held(g);
    return status;
}

/* --- the socket --- */

/* run_dir/submit of the configuration; of the usual one if that cannot be read. 0, or the exit
 * status. */
static int find_socket(const struct sendmail *s, char path[PATH_MAX])
{
    struct cli cli = {.config_given = s->config_given};
    struct error e;
    const char *run_dir = RUNSTATEDIR "/barid";
    int status = 0;
    if (cli_load(&cli, &e) == 0)
        run_dir = cli.config->run_dir;
    else if (s->config_given != NULL)
        status = complain(s, EX_CONFIG, "%s", e.text);
    if (snprintf(path, PATH_MAX, "%s/submit", run_dir) >= PATH_MAX)
        status = complain(s, EX_CONFIG, "run_dir: the name is too long");
    config_free(cli.config);
    free(cli.text);
    return status;
}

static int deliver(struct sendmail *s, const char *path)
{
    struct sending g = {.args = s, .textin = {.ignores_dots = s->ignores_dots}};
    struct error e;
    g.smtp = (struct smtpout){.fd = -1, .is_verbose = s->is_verbose};
    buf_init(&g.text, 2 * HEADER_MAX);
    int status = read_beginning(&g);
    if (status == 0)
        status = find_rcpts(&g);
    if (status == 0 && smtpout_open(&g.smtp, path, &e) < 0)
        status = complain(s, EX_TEMPFAIL, "%s: try again later", e.text);
    if (status == 0)
        status = find_sender(&g);
    if (status == 0)
        status = send_message(&g);
    smtpout_close(&g.smtp);
    letter_free(&g.letter);
    buf_free(&g.text);
    return status;
}

static int speak_smtp(const struct sendmail *s, const char *path)
{
    struct error e;
    int fd = unixsock_connect_stream(path, &e);
    if (fd < 0)
        return complain(s, EX_TEMPFAIL, "%s: try again later", e.text);
    int rc = pump(STDIN_FILENO, STDOUT_FILENO, fd);
    close(fd);
    return rc == 0 ? EX_OK : complain(s, EX_IOERR, "%s", strerror(errno));
}

/* --- the commands --- */

static int run(struct sendmail *s)
{
    char path[PATH_MAX];
    int status;
    switch (s->mode) {
    case SENDMAIL_LIST:
        return mailq_list(s);
    case SENDMAIL_RETRY:
        return mailq_retry(s);
    case SENDMAIL_ALIASES:
        printf("%s: nothing to build: aliases are in the database, see 'barid alias list'\n",
               s->program);
        return EX_OK;
    case SENDMAIL_MESSAGE:
        status = find_socket(s, path);
        return status != 0 ? status : deliver(s, path);
    case SENDMAIL_SMTP:
        status = find_socket(s, path);
        return status != 0 ? status : speak_smtp(s, path);
    }
    return EX_SOFTWARE;
}

static int start(const char *program, enum sendmail_mode mode, bool takes_config, int argc,
                 char **argv)
{
    struct sendmail s = {.program = program, .mode = mode, .takes_config = takes_config};
    struct error e;
    spawn_fill_standard();
    if (sodium_init() < 0)
        return complain(&s, EX_TEMPFAIL, "no random numbers");
    if (sendmail_args(&s, argc, argv, &e) < 0 || hold_from_args(&s, clock_wall_s(), &e) < 0)
        return complain(&s, EX_USAGE, "%s", e.text);
    int status = run(&s);
    return fflush(stdout) == 0 ? status : complain(&s, EX_IOERR, "cannot write the answer");
}

bool sendmail_is_called(int argc, char **argv, int *status)
{
    static const struct {
        const char *name, *word;
        enum sendmail_mode mode;
    } names[] = {{"sendmail", "send", SENDMAIL_MESSAGE},
                 {"send-mail", NULL, SENDMAIL_MESSAGE},
                 {"mailq", "mailq", SENDMAIL_LIST},
                 {"newaliases", "newaliases", SENDMAIL_ALIASES}};
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *called = argc == 0 ? "" : slash != NULL ? slash + 1 : argv[0];
    bool is_help = argc > 2 && strcmp(argv[2], "--help") == 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(called, names[i].name) == 0) {
            *status = start(names[i].name, names[i].mode, false, argc, argv);
            return true;
        }
        if (!is_help && argc > 1 && names[i].word != NULL && strcmp(argv[1], names[i].word) == 0) {
            *status = start(names[i].name, names[i].mode, true, argc - 1, argv + 1);
            return true;
        }
    }
    return false;
}
