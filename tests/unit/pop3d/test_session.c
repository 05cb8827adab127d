#include "stage.h"

#include "common/verdict.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define LOGGED_IN "+OK now PASS\r\n+OK maildrop has 2 messages (116 octets)\r\n"
#define ONE_HEAD  "Return-Path: <a@b.example>\r\nSubject: one\r\n\r\n"
#define ARGUMENT  "-ERR wrong arguments\r\n"
#define ABSENT    "-ERR no such message\r\n"
#define STATE     "-ERR command not possible now\r\n"
#define DELETED   "+OK marked as deleted\r\n"
#define BYE       "+OK bye\r\n"
#define WRONG     "-ERR [AUTH] wrong user name or password\r\n"
#define LANGS     "+OK languages follow\r\ni-default Default\r\nen English\r\n.\r\n"
#define ENGLISH   "+OK en this is the language of the texts now\r\n"
#define DEFAULT   "+OK i-default this is the language of the texts now\r\n"
#define NO_LANG   "-ERR no texts in that language\r\n"
#define NOT_UTF8  "-ERR a user name or password that is no UTF-8\r\n"
#define CAPA_BOTH                                                                                  \
    "+OK capabilities follow\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"     \
    "UTF8 USER\r\nLANG\r\nEXPIRE NEVER\r\n"

/* What the client says, all of it at once or octet by octet, and all that it hears after the
 * greeting. Each dialog ends with the session closed by us. */
static const struct {
    const char *says, *hears;
} dialogs[] = {
    {"QUIT\r\n", BYE},
    {"quit\r\n", BYE},
    {"CAPA\r\nQUIT\r\n", CAPA_BOTH "USER\r\nSASL SCRAM-SHA-256 PLAIN\r\n.\r\n" BYE},
    {LOGIN "CAPA\r\nQUIT\r\n", LOGGED_IN CAPA_BOTH "USER\r\nSASL SCRAM-SHA-256 PLAIN\r\n.\r\n" BYE},
    {LOGIN "STAT\r\nLIST\r\nLIST 2\r\nUIDL\r\nUIDL 1\r\nNOOP\r\nQUIT\r\n",
     LOGGED_IN "+OK 2 116\r\n+OK 2 messages (116 octets)\r\n1 69\r\n2 47\r\n.\r\n+OK 2 47\r\n"
               "+OK unique ids follow\r\n1 0000000000035\r\n2 0000000000036\r\n.\r\n"
               "+OK 1 0000000000035\r\n+OK\r\n" BYE},
    {LOGIN "RETR 1\r\nRETR 2\r\nQUIT\r\n",
     LOGGED_IN "+OK 69 octets\r\n" ONE_HEAD "line 1\r\n..line 2\r\nline 3\r\n.\r\n"
               "+OK 47 octets\r\nReturn-Path: <a@b.example>\r\nSubject: two\r\n\r\nx\r\n.\r\n" BYE},
    {LOGIN "TOP 1 0\r\nTOP 1 2\r\nTOP 1 1000000\r\nQUIT\r\n", LOGGED_IN
     "+OK top of message follows\r\n" ONE_HEAD ".\r\n"
     "+OK top of message follows\r\n" ONE_HEAD "line 1\r\n..line 2\r\n.\r\n"
     "+OK top of message follows\r\n" ONE_HEAD "line 1\r\n..line 2\r\nline 3\r\n.\r\n" BYE},
    /* deletion */
    {LOGIN
     "DELE 1\r\nSTAT\r\nLIST\r\nUIDL\r\nLIST 1\r\nRETR 1\r\nDELE 1\r\nRSET\r\nSTAT\r\nQUIT\r\n",
     LOGGED_IN DELETED "+OK 1 47\r\n+OK 1 messages (47 octets)\r\n2 47\r\n.\r\n"
                       "+OK unique ids follow\r\n2 0000000000036\r\n.\r\n"
                       "-ERR message is already deleted\r\n-ERR no such message\r\n"
                       "-ERR message is already deleted\r\n"
                       "+OK maildrop has 2 messages (116 octets)\r\n+OK 2 116\r\n" BYE},
    /* numbers */
    {LOGIN
     "RETR 0\r\nRETR 3\r\nDELE 0\r\nLIST 0\r\nUIDL 99999999999\r\nTOP 0 1\r\nTOP 3 1\r\nQUIT\r\n",
     LOGGED_IN ABSENT ABSENT ABSENT ABSENT ABSENT ABSENT ABSENT BYE},
    {LOGIN "LIST 01\r\nRETR +1\r\nDELE 00\r\nQUIT\r\n", LOGGED_IN ARGUMENT ARGUMENT ARGUMENT BYE},
    {LOGIN "UIDL 18446744073709551617\r\nTOP 18446744073709551617 0\r\nQUIT\r\n",
     LOGGED_IN ARGUMENT ARGUMENT BYE},
    {LOGIN "LIST 1 \r\nSTAT \r\nRETR  2 \r\nQUIT\r\n",
     LOGGED_IN "+OK 1 69\r\n+OK 2 116\r\n+OK 47 octets\r\nReturn-Path: <a@b.example>\r\n"
               "Subject: two\r\n\r\nx\r\n.\r\n" BYE},
    {LOGIN "RETR 1x\r\nRETR -1\r\nDELE 99999999999999999999\r\nQUIT\r\n",
     LOGGED_IN ARGUMENT ARGUMENT ARGUMENT BYE},
    {LOGIN "TOP 1\r\nTOP 1 x\r\nTOP 1 1 1\r\nQUIT\r\n", LOGGED_IN ARGUMENT ARGUMENT ARGUMENT BYE},
    {LOGIN "RETR\r\nSTAT 1\r\nLIST 1 1\r\nQUIT\r\n", LOGGED_IN ARGUMENT ARGUMENT ARGUMENT BYE},
    /* states */
    {"STAT\r\nRETR 1\r\nNOOP\r\nQUIT\r\n", STATE STATE STATE BYE},
    {LOGIN "USER x\r\nPASS x\r\nQUIT\r\n", LOGGED_IN STATE STATE BYE},
    {"PASS x\r\nUSER\r\nQUIT\r\n", "-ERR USER comes first\r\n" ARGUMENT BYE},
    /* logins */
    {"USER alice\r\nPASS se  cret\r\nUSER alice\r\nPASS\r\n" LOGIN "QUIT\r\n",
     "+OK now PASS\r\n" WRONG "+OK now PASS\r\n" WRONG LOGGED_IN BYE},
    {"USER a\r\nPASS b\r\nPASS b\r\nUSER a\r\nPASS b\r\nUSER a\r\nPASS b\r\nQUIT\r\n",
     "+OK now PASS\r\n" WRONG "-ERR USER comes first\r\n+OK now PASS\r\n" WRONG
     "+OK now PASS\r\n-ERR [AUTH] too many failed logins; closing\r\n"},
    {"USER busy\r\nPASS b\r\nQUIT\r\n",
     "+OK now PASS\r\n-ERR [SYS/TEMP] cannot check the login now, try again later\r\n" BYE},
    {"USER throttled\r\nPASS b\r\nQUIT\r\n", "+OK now PASS\r\n-ERR [SYS/TEMP] too many failed "
                                             "logins from your address, try again later\r\n" BYE},
    {"USER disabled\r\nPASS b\r\nQUIT\r\n",
     "+OK now PASS\r\n-ERR [AUTH] this account is disabled\r\n" BYE},
    /* languages and characters */
    {"UTF8\r\n" LOGIN "UTF8\r\nQUIT\r\n", "+OK UTF-8 it is\r\n" LOGGED_IN STATE BYE},
    {"UTF8 x\r\nQUIT\r\n", ARGUMENT BYE},
    {"LANG\r\nLANG en\r\nLANG EN-us-x-y\r\nLANG *\r\nLANG i-default\r\nQUIT\r\n",
     LANGS ENGLISH ENGLISH DEFAULT DEFAULT BYE},
    {LOGIN "LANG xx\r\nLANG i\r\nLANG -\r\nLANG\r\nQUIT\r\n",
     LOGGED_IN NO_LANG NO_LANG NO_LANG LANGS BYE},
    {"USER \xfc\r\nPASS x\r\nQUIT\r\n", NOT_UTF8 "-ERR USER comes first\r\n" BYE},
    {"USER \xc3\xbc\r\nPASS \xfc\r\nPASS x\r\nQUIT\r\n",
     "+OK now PASS\r\n" NOT_UTF8 "-ERR USER comes first\r\n" BYE},
    /* what is no command */
    {"XYZZY\r\nAPOP a b\r\n \r\nQUIT\r\n",
     "-ERR unknown command\r\n-ERR unknown command\r\n-ERR unknown command\r\n" BYE},
    {"A\r\nB\r\nC\r\nD\r\nQUIT\r\n",
     "-ERR unknown command\r\n-ERR unknown command\r\n-ERR unknown command\r\n"
     "-ERR too many errors; closing\r\n"},
    {"STAT\nQUIT\r\n", "-ERR lines end with CRLF and hold no NUL; closing\r\n"},
    {"GET / HTTP/1.1\r\nQUIT\r\n", "-ERR this is a POP3 server; closing\r\n"},
};

Test(session, dialogs)
{
    for (size_t i = 0; i < sizeof dialogs / sizeof *dialogs; i++)
        for (int by_octet = 0; by_octet < 2; by_octet++) {
            struct stage *st = stage_begin();
            stage_connect(st);
            struct span says = span_of(dialogs[i].says);
            for (size_t k = 0; by_octet && k < says.n; k++) {
                stage_send(st, (struct span){says.p + k, 1});
                stage_turns(st, 1);
            }
            if (!by_octet)
                stage_send(st, says);
            stage_run(st);
            char want[4096];
            snprintf(want, sizeof want, "+OK POP3 server ready\r\n%s", dialogs[i].hears);
            cr_expect_str_eq(stage_got(st), want, "dialog %zu, by octet %d", i, by_octet);
            shutdown(st->client, SHUT_WR);
            stage_run(st);
            cr_expect_null(st->session, "dialog %zu", i);
            stage_end(st);
        }
}

/* A client that says all it has to say and shuts its side still gets every reply. */
Test(session, half_closed_client_hears_all)
{
    struct stage *st = stage_begin();
    stage_connect(st);
    stage_send(st, SPAN(LOGIN "DELE 2\r\nSTAT\r\nQUIT\r\n"));
    shutdown(st->client, SHUT_WR);
    stage_run(st);
    cr_expect_str_eq(stage_got(st),
                     "+OK POP3 server ready\r\n" LOGGED_IN DELETED "+OK 1 69\r\n" BYE);
    cr_expect_null(st->session);
    cr_expect_eq(st->n_removed, 1);
    stage_end(st);
}

Test(session, no_login_without_tls)
{
    struct stage *st = stage_begin();
    st->set.may_log_in = false;
    stage_connect(st);
    stage_send(st, SPAN("CAPA\r\n" LOGIN));
    stage_run(st);
    cr_expect_str_eq(stage_got(st), "+OK POP3 server ready\r\n" CAPA_BOTH ".\r\n" REPLY_NEEDS_TLS
                                    "\r\n" REPLY_NEEDS_TLS "\r\n");
    cr_expect_eq(st->grants, 0);
    stage_end(st);
}

/* Each line is true at the moment it is sent. */
Test(session, capabilities_by_setting)
{
    struct stage *st = stage_begin();
    st->set.login_delay_s = 60;
    st->set.expire_days = 7;
    st->set.expire_varies = true;
    st->set.tells_name = true;
    st->expire_days = 30;
    stage_connect(st);
    stage_send(st, SPAN("CAPA\r\n"));
    stage_run(st);
    cr_expect_not_null(strstr(stage_got(st),
                              "\r\nEXPIRE 7 USER\r\nLOGIN-DELAY 60\r\n"
                              "IMPLEMENTATION barid\r\nUSER\r\nSASL SCRAM-SHA-256 PLAIN\r\n.\r\n"));
    stage_send(st, SPAN(LOGIN "CAPA\r\n"));
    stage_run(st);
    cr_expect_not_null(strstr(stage_got(st), "\r\nEXPIRE 30\r\nLOGIN-DELAY 60\r\n"));
    stage_end(st);
}

Test(session, login_delay_is_said)
{
    struct stage *st = stage_begin();
    st->opened = 97;
    stage_connect(st);
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    cr_expect_not_null(strstr(stage_got(st), "\r\n-ERR [LOGIN-DELAY] "));
    stage_end(st);
}

static struct stage *logged_in(void)
{
    struct stage *st = stage_begin();
    stage_connect(st);
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    cr_assert_str_eq(stage_got(st), "+OK POP3 server ready\r\n" LOGGED_IN);
    return st;
}

/* --- the end: only QUIT removes --- */

Test(session, quit_removes_what_is_marked)
{
    struct stage *st = logged_in();
    stage_send(st, SPAN("DELE 2\r\nQUIT\r\n"));
    stage_run(st);
    cr_expect_str_eq(stage_got(st), DELETED BYE);
    cr_expect_eq(st->n_updates, 1);
    cr_expect_eq(st->n_removed, 1);
    cr_expect_eq(st->removed[0], 2);
    cr_expect_null(st->box, "the lock is given back before the reply");
    stage_end(st);
}

Test(session, quit_says_when_nothing_was_removed)
{
    struct stage *st = logged_in();
    st->update_verdict = VERDICT_TRY_LATER;
    stage_send(st, SPAN("DELE 2\r\nQUIT\r\n"));
    stage_run(st);
    cr_expect_str_eq(stage_got(st), DELETED REPLY_NOT_REMOVED "\r\n");
    stage_end(st);
}

Test(session, a_dropped_line_removes_nothing)
{
    struct stage *st = logged_in();
    stage_send(st, SPAN("DELE 1\r\nDELE 2\r\n"));
    stage_run(st);
    close(st->client);
    st->client = -1;
    stage_run(st);
    cr_expect_null(st->session);
    cr_expect_null(st->box);
    cr_expect_eq(st->n_updates, 0);
    cr_expect_eq(st->n_removed, 0);
    stage_end(st);
}

Test(session, draining_removes_nothing)
{
    struct stage *st = logged_in();
    stage_send(st, SPAN("DELE 1\r\n"));
    stage_run(st);
    session_drain(st->session);
    stage_run(st);
    cr_expect_str_eq(stage_got(st), DELETED REPLY_STOPPING "\r\n");
    cr_expect_eq(st->n_updates, 0);
    stage_end(st);
}

/* --- when others fail --- */

Test(session, mailbox_in_use_and_then_free)
{
    struct stage *st = stage_begin();
    st->opened = 98;
    stage_connect(st);
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    cr_expect_str_eq(stage_got(st),
                     "+OK POP3 server ready\r\n+OK now PASS\r\n" REPLY_IN_USE "\r\n");
    st->opened = VERDICT_TRY_LATER;
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    cr_expect_str_eq(stage_got(st), "+OK now PASS\r\n" REPLY_NO_BOX "\r\n");
    st->opened = VERDICT_OK;
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    cr_expect_str_eq(stage_got(st), LOGGED_IN);
    stage_end(st);
}

Test(session, mailbox_dies_while_idle)
{
    struct stage *st = logged_in();
    ipc_close(st->box);
    st->box = NULL;
    stage_run(st);
    cr_expect_str_eq(stage_got(st), REPLY_BOX_GONE "\r\n");
    stage_end(st);
}

Test(session, mailbox_dies_while_asked)
{
    static const char *const commands[] = {"RETR 1\r\n", "TOP 1 0\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct stage *st = logged_in();
        st->reads_nothing = true;
        stage_send(st, span_of(commands[i]));
        stage_run(st);
        ipc_close(st->box);
        st->box = NULL;
        stage_run(st);
        cr_expect_str_eq(stage_got(st), REPLY_BOX_GONE "\r\n");
        stage_end(st);
    }
}

Test(session, mailbox_dies_before_it_opens)
{
    struct stage *st = stage_begin();
    st->opened = 99;
    stage_connect(st);
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    ipc_close(st->box);
    st->box = NULL;
    stage_run(st);
    cr_expect_str_eq(stage_got(st),
                     "+OK POP3 server ready\r\n+OK now PASS\r\n" REPLY_NO_BOX "\r\n");
    stage_end(st);
}

Test(session, authd_dies_while_asked)
{
    struct stage *st = stage_begin();
    stage_connect(st);
    stage_send(st, SPAN("USER silent\r\nPASS x\r\n"));
    stage_run(st);
    ipc_close(st->authd);
    st->authd = NULL;
    stage_run(st);
    cr_expect_str_eq(stage_got(st),
                     "+OK POP3 server ready\r\n+OK now PASS\r\n" REPLY_LOGIN_BUSY "\r\n");
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    cr_expect_str_eq(stage_got(st), "+OK now PASS\r\n" REPLY_LOGIN_BUSY "\r\n", "it is down");
    stage_end(st);
}

/* The client is gone when the answer comes: nobody may touch what was the session. */
Test(session, client_goes_while_asked)
{
    static const char *const last[] = {"USER silent\r\nPASS x\r\n", LOGIN "RETR 1\r\n",
                                       LOGIN "DELE 1\r\nQUIT\r\n", LOGIN};
    for (size_t i = 0; i < sizeof last / sizeof *last; i++)
        for (int turns = 0; turns < 8; turns++) {
            struct stage *st = stage_begin();
            stage_connect(st);
            stage_send(st, span_of(last[i]));
            stage_turns(st, turns);
            if (st->session != NULL)
                session_free(st->session);
            stage_run(st);
            cr_expect_null(st->session);
            stage_end(st);
        }
}

/* A mailbox that lies is not believed. */
Test(session, insane_answers)
{
    static const struct letter lies[] = {
        {SPAN("a\r\n"), 4, 0, -1},
        {SPAN("a\r\n"), UINT64_MAX, 0, -1},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct stage *st = logged_in();
        st->letters = &lies[i];
        stage_send(st, SPAN("RETR 1\r\nNOOP\r\n"));
        stage_run(st);
        cr_expect_str_eq(stage_got(st), REPLY_UNREADABLE "\r\n+OK\r\n");
        stage_end(st);
    }
}

Test(session, mailbox_that_opens_twice)
{
    static const char *const commands[] = {"NOOP\r\n", "RETR 1\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct stage *st = logged_in();
        st->reads_nothing = true;
        stage_send(st, span_of(commands[i]));
        stage_run(st);
        ipc_send_box_opened(st->box, &(struct msg_box_opened){.verdict = VERDICT_OK}, -1);
        stage_run(st);
        cr_expect_null(st->session);
        stage_end(st);
    }
}

/* --- what mailbox is told was retrieved --- */

Test(session, retrieved_is_told_once)
{
    static const struct {
        const char *commands;
        size_t n;
        unsigned updates;
    } rows[] = {
        {"RETR 2\r\nRETR 1\r\nRETR 2\r\nTOP 1 0\r\nDELE 1\r\nQUIT\r\n", 2, 1},
        {"RETR 2\r\nRETR 1\r\nQUIT\r\n", 2, 0},
        {"RETR 2\r\nRETR 9\r\nDELE 1\r\n", 1, 0}, /* and the line drops */
        {"TOP 1 100\r\nLIST\r\nDELE 1\r\nQUIT\r\n", 0, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct stage *st = logged_in();
        stage_send(st, span_of(rows[i].commands));
        stage_run(st);
        close(st->client);
        st->client = -1;
        stage_run(st);
        cr_expect_null(st->session);
        cr_expect_eq(st->n_told, rows[i].n > 0, "row %zu", i);
        cr_assert_eq(st->n_retrieved, rows[i].n, "row %zu", i);
        cr_expect(rows[i].n < 1 || st->retrieved[0] == 2, "row %zu", i);
        cr_expect(rows[i].n < 2 || st->retrieved[1] == 1, "row %zu", i);
        cr_expect_eq(st->more_retrieved, 0);
        cr_expect_eq(st->n_updates, rows[i].updates);
        cr_expect_eq(st->updates_before_retrieved, 0, "told before they may be gone");
        stage_end(st);
    }
}

Test(session, retrieved_without_end)
{
    char line[40];
    struct stage *st = stage_begin();
    st->n_letters = 400;
    stage_connect(st);
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    for (int i = 1; i <= 300; i++) {
        snprintf(line, sizeof line, "RETR %d\r\n", i);
        stage_send(st, span_of(line));
        stage_run(st);
    }
    stage_send(st, SPAN("QUIT\r\n"));
    stage_run(st);
    cr_expect_eq(st->n_told, 1);
    cr_assert_eq(st->n_retrieved, RETRIEVED_MAX);
    cr_expect_eq(st->retrieved[RETRIEVED_MAX - 1], RETRIEVED_MAX);
    cr_expect_eq(st->more_retrieved, 300 - RETRIEVED_MAX);
    stage_end(st);
}

/* --- much --- */

/* `n` octets of lines, each of which starts with a dot, in a file. At most a million. */
static struct letter in_a_file(size_t n, size_t n_promised)
{
    static char all[1000000];
    for (size_t i = 0; i < n; i++)
        all[i] = ".x\r\n"[i % 4];
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, all, n) == (ssize_t)n);
    return (struct letter){{all, n_promised}, 4, CONTENT_DOTS, fd};
}

Test(session, large_message_to_a_slow_client)
{
    struct stage *st = logged_in();
    struct letter l = in_a_file(1000000, 1000000);
    st->letters = &l;
    st->is_slow = true;
    stage_send(st, SPAN("RETR 1\r\nTOP 1 1\r\nNOOP\r\n"));
    stage_run(st);
    const char *got = stage_got(st);
    static const char head[] = "+OK 1000028 octets\r\nReturn-Path: <a@b.example>\r\n";
    static const char tail[] = ".\r\n+OK top of message follows\r\nReturn-Path: <a@b.example>\r\n"
                               "..x\r\n..x\r\n.\r\n+OK\r\n";
    cr_assert_eq(strlen(got), strlen(head) + 1250000 + strlen(tail));
    cr_expect_eq(strncmp(got, head, strlen(head)), 0);
    for (size_t i = 0; i < 1250000; i++)
        cr_assert_eq(got[strlen(head) + i], "..x\r\n"[i % 5], "octet %zu", i);
    cr_expect_str_eq(got + strlen(head) + 1250000, tail);
    cr_expect_eq(st->session->job.fd, -1);
    stage_end(st);
}

static size_t sent_by_kernel; /* octets */

/* In the place of libc's. */
ssize_t sendfile(int out, int in, off_t *at, size_t n)
{
    ssize_t sent = syscall(SYS_sendfile, out, in, at, n);
    sent_by_kernel += sent > 0 ? (size_t)sent : 0;
    return sent;
}

/* Lines of which none is like another and none starts with a dot. */
static struct letter numbered(size_t n, size_t n_promised)
{
    static char all[1000008 + 1];
    for (size_t i = 0; i < 1000000; i += 8)
        snprintf(all + i, 9, "%06zu\r\n", i / 8);
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, all, n) == (ssize_t)n);
    return (struct letter){{all, n_promised}, 8, 0, fd};
}

/* The kernel sends it; what comes before and after is in its place. */
Test(session, large_message_without_dots)
{
    static const size_t sizes[] = {1000000, 999999, 999993, 1024, 1032, 400000};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i / 2];
        struct letter l = numbered(n, n);
        struct stage *st = logged_in();
        char head[100];
        const char *tail = n % 8 == 0 ? ".\r\n+OK\r\n" : "\r\n.\r\n+OK\r\n";
        sent_by_kernel = 0;
        st->letters = &l;
        st->is_slow = i % 2 == 1;
        stage_send(st, SPAN("RETR 1\r\nNOOP\r\n"));
        stage_run(st);
        snprintf(head, sizeof head, "+OK %zu octets\r\nReturn-Path: <a@b.example>\r\n", n + 28);
        const char *got = stage_got(st);
        cr_assert_eq(strlen(got), strlen(head) + n + strlen(tail), "of %zu: %zu", n, strlen(got));
        cr_expect_eq(strncmp(got, head, strlen(head)), 0);
        cr_expect_eq(memcmp(got + strlen(head), l.content.p, n), 0, "of %zu", n);
        cr_expect_str_eq(got + strlen(head) + n, tail);
        cr_expect(n <= 1024 || sent_by_kernel > 0, "of %zu", n);
        stage_end(st);
    }
}

Test(session, file_without_dots_that_is_too_short)
{
    struct stage *st = logged_in();
    struct letter l = numbered(300000, 800000);
    st->letters = &l;
    stage_send(st, SPAN("RETR 1\r\n"));
    stage_run(st);
    cr_expect_null(st->session);
    const char *got = stage_got(st);
    cr_expect_null(strstr(got, "\r\n.\r\n"));
    stage_end(st);
}

/* So many octets were promised; when they are not there the line is cut, and no end is invented. */
Test(session, file_that_is_too_short)
{
    struct stage *st = logged_in();
    struct letter l = in_a_file(100000, 200000);
    st->letters = &l;
    stage_send(st, SPAN("RETR 1\r\n"));
    stage_run(st);
    cr_expect_null(st->session);
    const char *got = stage_got(st);
    cr_expect_neq(strcmp(got + strlen(got) - 5, "\r\n.\r\n"), 0);
    stage_end(st);
}

/* A mailbox that was taken over hands over what it can still change. */
Test(session, a_listing_that_can_change_is_none)
{
    struct stage *st = stage_begin();
    st->is_unsealed = true;
    stage_connect(st);
    stage_send(st, SPAN(LOGIN));
    stage_run(st);
    cr_expect_not_null(strstr(stage_got(st), "-ERR [SYS/TEMP] cannot open the mailbox now"));
    stage_end(st);
}

Test(session, a_hundred_thousand_messages)
{
    struct stage *st = stage_begin();
    st->n_letters = 100000;
    stage_connect(st);
    stage_send(st, SPAN(LOGIN));
    stage_turns(st, 1000);
    cr_expect_str_eq(stage_got(st), "+OK POP3 server ready\r\n+OK now PASS\r\n"
                                    "+OK maildrop has 100000 messages (5800000 octets)\r\n");
    stage_send(st, SPAN("UIDL\r\nUIDL\r\n"));
    for (int i = 0; i < 50; i++)
        loop_turn(st->loop, 0); /* the client does not read */
    cr_expect_leq(conn_unsent(st->session->conn), OUT_BUSY + 16384);
    st->is_slow = false;
    stage_send(st, SPAN("DELE 50000\r\nLIST\r\nQUIT\r\n"));
    stage_run(st);
    st->got[st->n_got] = '\0';
    cr_expect_not_null(strstr(st->got, "\r\n99999 69\r\n100000 47\r\n.\r\n"));
    cr_expect_null(strstr(st->got, "\r\n50000 47\r\n"));
    stage_run(st);
    stage_end(st);
}

/* Pipelined without end and nothing read: memory stays bounded, and all is answered in the end. */
Test(session, endless_pipelining)
{
    struct stage *st = logged_in();
    char in[6 * 2000], *end = in;
    for (int i = 0; i < 2000; i++, end += 6)
        memcpy(end, "NOOP\r\n", 6);
    st->is_slow = true;
    for (int i = 0; i < 20; i++)
        stage_send(st, (struct span){in, sizeof in});
    stage_run(st);
    cr_expect_leq(conn_unsent(st->session->conn), OUT_BUSY + 100);
    cr_expect_eq(strlen(stage_got(st)), 20 * 2000 * 5);
    stage_end(st);
}

Test(session, overlong_lines)
{
    struct stage *st = logged_in();
    char in[70000];
    memset(in, 'x', sizeof in);
    memcpy(in + 300, "\r\nNOOP\r\n", 8);
    stage_send(st, (struct span){in, 308});
    stage_run(st);
    cr_expect_str_eq(stage_got(st), REPLY_TOO_LONG "\r\n+OK\r\n");
    memset(in, 'x', sizeof in);
    stage_send(st, (struct span){in, sizeof in});
    stage_run(st);
    cr_expect_str_eq(stage_got(st), REPLY_TOO_LONG "\r\n");
    stage_end(st);
}

Test(session, is_small)
{
    cr_expect_leq(sizeof(struct session), 1024);
}
