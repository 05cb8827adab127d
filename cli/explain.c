/* `barid explain`: would this mail be accepted, by which rule, and where would it go? The decisions
 * are those of common/admission.h, which smtpd asks too; what it does not know itself it asks authd
 * (which is started for it if nothing runs), queue and relay, and says what it could not ask. */
#include "cli/explain.h"

#include "cli/output.h"
#include "common/route.h"

#include <stdarg.h>

/* --- what is shown --- */

void explain_show(struct explain *x, const char *group, struct admin_row *r)
{
    if (!r->w.failed)
        rows_add(&x->shown, 1, span_of(group), packer_span(&r->w));
}

void explain_unknown(struct explain *x, const char *about, const char *why)
{
    static struct admin_row r;
    row_begin(&r);
    row_text(&r, "about", span_of(about));
    row_text(&r, "why", span_of(why));
    explain_show(x, "unknown", &r);
}

/* A step's decision, and why. False: an earlier step has refused, and that stays. */
__attribute__((format(printf, 4, 5))) static bool decide(struct explain *x, enum admission p,
                                                         const char *command, const char *fmt, ...)
{
    va_list ap;
    if (admission_is_refusal(x->verdict))
        return false;
    x->verdict = p;
    snprintf(x->reply, sizeof x->reply, "%s", admission_text(p));
    snprintf(x->command, sizeof x->command, "%s", command);
    va_start(ap, fmt);
    vsnprintf(x->rule, sizeof x->rule, fmt, ap);
    va_end(ap);
    x->line = 0;
    return true;
}

/* --- the steps of a session --- */

static bool has_listener(const struct config *c, enum listen_kind kind)
{
    for (size_t i = 0; i < c->n_listens; i++)
        if (c->listens[i].kind == kind)
            return true;
    return false;
}

/* Where such a client would speak: who logs in, on a submission listener. 0, or -1. */
static int choose_listener(struct explain *x)
{
    static const enum listen_kind for_users[] = {LISTEN_SUBMISSION, LISTEN_SUBMISSIONS};
    static const enum listen_kind for_all[] = {LISTEN_SMTP, LISTEN_SUBMISSION, LISTEN_SUBMISSIONS,
                                               LISTEN_LMTP};
    const enum listen_kind *kinds = x->has_login ? for_users : for_all;
    for (size_t i = 0; i < (x->has_login ? 2 : 4); i++)
        if (has_listener(x->cli->config, kinds[i])) {
            x->kind = kinds[i];
            return 0;
        }
    return -1;
}

static void come_in(struct explain *x)
{
    struct span helo = cli_option(x->cli, "helo");
    decide(x, admission_connect(x->cli->config, x->kind, &x->client), "connect",
           "[listen lmtp] is for loopback and [relay] allow_from");
    if (helo.p != NULL && !admission_is_helo(helo))
        decide(x, ADMISSION_BAD_HELO, "EHLO", "not a name that can be shown in a line");
    if (admission_needs_login(x->kind) && !x->has_login)
        decide(x, ADMISSION_LOGIN_FIRST, "MAIL FROM",
               "there is no [listen smtp], and [listen %s] wants a login",
               listen_kind_name(x->kind));
}

static const struct row *about(const struct explain *x)
{
    return x->authd.n > 0 ? &x->authd.list[0] : NULL;
}

static bool says(const struct explain *x, const char *name, const char *word)
{
    struct column c;
    return row_find(about(x), name, &c) && span_eq(c.text, span_of(word));
}

static void log_in(struct explain *x)
{
    struct msg_login_re re = {.verdict = VERDICT_NEVER, .reason = LOGIN_WRONG};
    if (!x->has_login || says(x, "login", "good"))
        return;
    if (says(x, "login", "disabled"))
        re.reason = LOGIN_DISABLED;
    else if (says(x, "login", "receive-only"))
        re.reason = LOGIN_RECEIVE_ONLY;
    decide(x, admission_login_refused(&re), "AUTH", "the user is %s",
           re.reason == LOGIN_WRONG      ? "not known"
           : re.reason == LOGIN_DISABLED ? "disabled, see: barid user show"
                                         : "receive-only, see: barid user show");
}

static void say_sender(struct explain *x, bool is_address)
{
    char command[ADDRESS_MAX + 40];
    struct column his = {.number = 0};
    const struct config *c = x->cli->config;
    struct span from = cli_option(x->cli, "from");
    snprintf(command, sizeof command, "MAIL FROM:<%.*s>", (int)(from.n < 400 ? from.n : 400),
             from.p);
    if (!is_address) {
        decide(x, ADMISSION_BAD_SENDER, command, "not an address (RFC 5321 4.1.2)");
        return;
    }
    enum admission size = admission_size(x->size, c->message_size_max);
    if (size != ADMISSION_WELCOME && decide(x, size, command, "message_size_max"))
        x->line = explain_line(x, "", "message_size_max");
    if (!x->has_login)
        return;
    bool may = row_find(about(x), "may_send", &his) && his.number != 0;
    struct msg_ticket_re re = {.verdict = may ? VERDICT_OK : VERDICT_NEVER,
                               .reason = may ? TICKET_GOOD : TICKET_SENDER};
    decide(x, admission_sender(&re), command,
           "a user may send from his own address and from aliases that lead to him");
}

/* Nobody logged in: it depends on where the client is. */
static void say_foreign(struct explain *x, enum admission p, const char *command)
{
    char client[NETADDR_TEXT];
    netaddr_format(client, &x->client);
    bool is_taken = p == ADMISSION_RCPT_OK
                        ? decide(x, p, command, "[relay] allow_from has %s", client)
                        : decide(x, p, command,
                                 "not a local domain, %s is not in [relay] allow_from, and nobody "
                                 "logged in",
                                 x->client.n > 0 ? client : "the client (no --client was given)");
    if (is_taken)
        x->line = explain_line(x, "relay", "allow_from");
}

/* Why a recipient of this kind gets this decision. */
static void explain_rcpt(struct explain *x, enum admission p, const char *command)
{
    struct column by = {.text = SPAN("")};
    row_find(about(x), "by", &by);
    if (says(x, "kind", "undecided")) {
        decide(x, p, command, "its aliases lead to too many addresses");
    } else if (says(x, "kind", "local")) {
        decide(x, p, command, "local domain: %.*s", (int)by.text.n, by.text.p);
    } else if (says(x, "kind", "unknown")) {
        decide(x, p, command, "local domain, but no user, alias or catch-all takes it");
    } else if (x->has_login) {
        decide(x, p, command, "not a local domain; who logged in may send anywhere");
    } else {
        say_foreign(x, p, command);
    }
}

/* Taken, or not, for another host. */
static void say_backup(struct explain *x, enum admission p, const char *command, const char *why)
{
    const struct route_config *r = route_backup(x->cli->config, span_of(x->to.text));
    if (decide(x, p, command, "[route %s] backup_mx: %s", r->domain, why))
        x->line = r->line;
}

static void say_rcpt(struct explain *x, bool is_address)
{
    char command[ADDRESS_MAX + 40];
    struct column quota = {.number = 0}, is_return = {.number = 0}, is_member = {.number = 0};
    struct span to = cli_option(x->cli, "to");
    snprintf(command, sizeof command, "RCPT TO:<%.*s>", (int)(to.n < 400 ? to.n : 400), to.p);
    if (!is_address) {
        decide(x, ADMISSION_BAD_RCPT, command, "not an address (RFC 5321 4.1.2)");
        return;
    }
    struct msg_resolve_re re = {.verdict = VERDICT_OK,
                                .kind = says(x, "kind", "local")     ? ADDRESS_LOCAL
                                        : says(x, "kind", "foreign") ? ADDRESS_FOREIGN
                                                                     : ADDRESS_UNKNOWN};
    if (says(x, "kind", "undecided"))
        re.verdict = VERDICT_TRY_LATER;
    re.is_return = row_find(about(x), "is_return", &is_return) && is_return.number != 0;
    re.has_quota = row_find(about(x), "has_quota", &quota) && quota.number != 0;
    re.post = says(x, "post", "members") ? POST_MEMBERS
              : says(x, "post", "users") ? POST_USERS
                                         : POST_ANYONE;
    re.is_member = row_find(about(x), "is_member", &is_member) && is_member.number != 0;
    struct msg_queue_room_re room = explain_way(x);
    const struct route_config *backup = route_backup(x->cli->config, span_of(x->to.text));
    const char *why = NULL;
    bool may_relay = admission_may_relay(x->cli->config, x->kind, &x->client);
    struct admission_facts facts = {.may_relay = may_relay,
                                    .has_login = x->has_login,
                                    .is_user =
                                        x->has_login || (may_relay && x->kind != LISTEN_LMTP),
                                    .has_sender = x->from.text[0] != '\0',
                                    .is_backup = x->kind != LISTEN_LMTP && backup != NULL};
    enum admission p = admission_rcpt(&facts, &re);
    if (p == ADMISSION_ASK_ROOM && re.kind == ADDRESS_FOREIGN)
        room = explain_backup(x, &why);
    if (p == ADMISSION_ASK_ROOM)
        p = admission_room(&room);
    if (why != NULL)
        say_backup(x, p, command, why);
    else if (p == ADMISSION_ONLY_MEMBERS || p == ADMISSION_ONLY_USERS)
        decide(x, p, command, "barid alias post: a list that is not for this sender");
    else if (p == ADMISSION_MAILBOX_FULL)
        decide(x, p, command, "a quota leaves no room, see mailboxes");
    else
        explain_rcpt(x, p, command);
}

/* --- the command --- */

static int parse_path(struct span given, enum addr_form form, struct addr *out)
{
    char path[ADDRESS_MAX + 3];
    size_t used;
    bool is_bare = given.n == 0 || given.p[0] != '<';
    int n = snprintf(path, sizeof path, is_bare ? "<%.*s>" : "%.*s",
                     (int)(given.n < ADDRESS_MAX ? given.n : ADDRESS_MAX), given.p);
    struct span text = {path, (size_t)n};
    return addr_parse(text, form, out, &used) == 0 && used == text.n ? 0 : -1;
}

static int ask_authd(struct explain *x, struct error *e)
{
    char login[LOGIN_MAX + 8] = "", from[ADDRESS_MAX + 8];
    struct span user = cli_option(x->cli, "login");
    snprintf(from, sizeof from, "from=%s", x->from.text);
    snprintf(login, sizeof login, "login=%.*s", (int)(user.n < LOGIN_MAX ? user.n : LOGIN_MAX),
             user.n > 0 ? user.p : "");
    const struct span args[] = {span_of(x->to.text), span_of(from), span_of(login)};
    struct question q = {
        .process = ROLE_AUTHD, .admin = "explain", .args = args, .n_args = x->has_login ? 3 : 2};
    if (cli_ask(x->cli, &q, &x->authd, NULL, e) < 0)
        return -1;
    return x->authd.n > 0 ? 0 : error_set(e, "the answer of authd is not complete");
}

static void show_option(struct admin_row *r, const struct explain *x, const char *name)
{
    struct span given = cli_option(x->cli, name);
    if (given.p != NULL)
        row_text(r, name, given);
    else
        row_null(r, name);
}

static int print(struct explain *x)
{
    static const char *const groups[] = {"aliases", "mailboxes", "remote", "hops", "unknown", NULL};
    static struct admin_row r;
    struct rows all = {.n = 0};
    struct buf out;
    bool is_accepted = !admission_is_refusal(x->verdict);
    row_begin(&r);
    row_bool(&r, "accepted", is_accepted);
    row_text(&r, "reply", span_of(x->reply));
    row_text(&r, "command", span_of(x->command));
    row_text(&r, "rule", span_of(x->rule));
    if (x->line > 0)
        row_number(&r, "line", (int64_t)x->line);
    else
        row_null(&r, "line");
    row_text(&r, "listener", span_of(listen_kind_name(x->kind)));
    show_option(&r, x, "from");
    show_option(&r, x, "to");
    show_option(&r, x, "client");
    show_option(&r, x, "helo");
    show_option(&r, x, "login");
    int rc = rows_add(&all, 0, SPAN(""), packer_span(&r.w));
    for (size_t i = 0; i < x->shown.n && rc == 0; i++)
        rc = rows_add(&all, 1, span_of(x->shown.list[i].group), row_fields(&x->shown.list[i]));
    buf_init(&out, SIZE_MAX / 4);
    if (rc == 0)
        rc = x->cli->is_json ? output_json(&out, &all, SHAPE_OBJECT, groups)
                             : output_table(&out, &all, SHAPE_OBJECT);
    rows_free(&all);
    int status = output_print(x->cli, &out, rc);
    if (status == EXIT_DONE && !is_accepted)
        status = cli_fail(x->cli, "it would be refused: %s", x->reply);
    return status;
}

static int run(struct explain *x)
{
    struct error e;
    bool is_from = parse_path(cli_option(x->cli, "from"), ADDR_REVERSE_PATH, &x->from) == 0;
    bool is_to = parse_path(cli_option(x->cli, "to"), ADDR_FORWARD_PATH, &x->to) == 0;
    if (cli_load(x->cli, &e) < 0)
        return cli_fail(x->cli, "%s", e.text);
    if (choose_listener(x) < 0)
        return cli_fail(x->cli, "no listener takes mail from %s: add [listen %s]",
                        x->has_login ? "who logs in" : "anybody",
                        x->has_login ? "submission" : "smtp");
    if (is_from && is_to && ask_authd(x, &e) < 0)
        return cli_fail(x->cli, "%s", e.text);
    come_in(x);
    if (is_from && is_to)
        log_in(x);
    say_sender(x, is_from);
    say_rcpt(x, is_to);
    return print(x);
}

int explain_main(struct cli *cli)
{
    static struct explain x;
    struct span client = cli_option(cli, "client"), size = cli_option(cli, "size");
    x = (struct explain){
        .cli = cli, .verdict = ADMISSION_WELCOME, .has_login = cli_option(cli, "login").p != NULL};
    if (cli_option(cli, "from").p == NULL || cli_option(cli, "to").p == NULL)
        return cli_wrong_usage(cli, "--from and --to are needed; --from '' is the null sender");
    if (client.p != NULL && netaddr_parse(client, &x.client) < 0)
        return cli_wrong_usage(cli, "--client '%.100s' is not an IP address", client.p);
    if (size.p != NULL && span_u64(size, &x.size) < 0)
        return cli_wrong_usage(cli, "--size '%.100s' is not a number of octets", size.p);
    int status = run(&x);
    rows_free(&x.authd);
    rows_free(&x.shown);
    return status;
}
