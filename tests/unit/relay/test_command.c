#include "relay/command.h"

#include <criterion/criterion.h>

static const struct client_rcpt plain = {.address = {"a@y", 3}};

/* Parameters are sent only to a server that offers them. */
Test(command, parameters)
{
    static const struct client_rcpt asking = {.address = {"b@y", 3},
                                              .orcpt = {"rfc822;c@z", 10},
                                              .notify = NOTIFY_SUCCESS | NOTIFY_DELAY};
    const struct client_rcpt rcpts[] = {plain, asking};
    struct client_mail m = {.sender = SPAN("s@x"),
                            .envid = SPAN("Q+20Q"),
                            .ret = RET_HDRS,
                            .rcpts = rcpts,
                            .n_rcpts = 2,
                            .flags = CONTENT_8BIT,
                            .content = SPAN("12345"),
                            .size = 5};
    struct offer none = {0};
    struct offer all = {.has_size = true, .has_8bitmime = true, .has_dsn = true};
    static const char *const bare[] = {"MAIL FROM:<s@x>\r\n", "RCPT TO:<a@y>\r\n",
                                       "RCPT TO:<b@y>\r\n", "DATA\r\n"};
    static const char *const full[] = {
        "MAIL FROM:<s@x> SIZE=5 BODY=8BITMIME RET=HDRS ENVID=Q+20Q\r\n", "RCPT TO:<a@y>\r\n",
        "RCPT TO:<b@y> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@z\r\n", "DATA\r\n"};
    char line[COMMAND_MAX];
    for (size_t i = 0; i < 4; i++) {
        command_format(line, &m, &none, i);
        cr_expect_str_eq(line, bare[i]);
        command_format(line, &m, &all, i);
        cr_expect_str_eq(line, full[i]);
    }
}

Test(command, utf8)
{
    struct client_mail m = {.sender = SPAN("s@x"), .rcpts = &plain, .n_rcpts = 1, .is_utf8 = true};
    struct offer o = {.has_utf8 = true};
    char line[COMMAND_MAX];
    command_format(line, &m, &o, 0);
    cr_expect_str_eq(line, "MAIL FROM:<s@x> SMTPUTF8\r\n");
    m.is_utf8 = false;
    command_format(line, &m, &o, 0);
    cr_expect_str_eq(line, "MAIL FROM:<s@x>\r\n");
}

/* With everything as long as it may be the line still has its end. */
Test(command, the_longest)
{
    static char text[ADDRESS_MAX], line[COMMAND_MAX];
    memset(text, 'a', sizeof text);
    struct client_rcpt r = {
        .address = {text, ADDRESS_MAX}, .orcpt = {text, ORCPT_MAX}, .notify = 7};
    struct client_mail m = {.sender = {text, ADDRESS_MAX},
                            .envid = {text, ENVID_MAX},
                            .ret = RET_FULL,
                            .rcpts = &r,
                            .n_rcpts = 1,
                            .flags = CONTENT_8BIT,
                            .is_utf8 = true,
                            .size = UINT64_MAX};
    struct offer all = {.has_size = true,
                        .has_8bitmime = true,
                        .has_dsn = true,
                        .has_utf8 = true,
                        .is_logged_in = true};
    for (size_t i = 0; i < 2; i++) {
        command_format(line, &m, &all, i);
        cr_expect_str_eq(line + strlen(line) - 2, "\r\n");
    }
}
