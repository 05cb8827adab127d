/* A struct proc for tests: authd as it is, with its verifiers and stores, in a directory of its
 * own, and with channels to peers that the test plays. */
#ifndef BARID_TEST_FAKEPROC_H
#define BARID_TEST_FAKEPROC_H

#include "authd/authd.h"

/* One message that a peer got from authd; spans are copied. */
struct heard {
    enum msg_type type;
    uint64_t tag;
    uint8_t verdict, reason, kind;
    int fd;
    char text[600]; /* address of LOGIN_RE and BOX_GRANT, error of ADMIN_RE, first column of
                       ADMIN_ROW */
    uint64_t box, device;
    size_t n_sealed;
};

extern char fake_password[100]; /* in the last row that had one */

void fake_begin(const char *settings); /* more lines for the configuration */
void fake_end(void);
struct authd *fake_authd(void);
bool fake_has_exited(void);
/* The peer's end of a channel; authd is told that it is up. */
struct ipc *fake_connect(enum role role);
void fake_disconnect(enum role role);
/* Turns the loop until something was heard by that peer. False: nothing within so many turns. */
bool fake_hear(enum role role, struct heard *out);
bool fake_hears_nothing(enum role role, int64_t ms);
/* Asks authd as a CLI; rows are dropped but the first column of the last one. The verdict; text:
 * error or that column. */
struct heard fake_admin(const char *command, const char *const *args, const char *secret);
/* The same, and the test ends if it is refused. */
void fake_must(const char *command, const char *const *args, const char *secret);

#endif
