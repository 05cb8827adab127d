/* sendmail(1), mailq(1) and newaliases(1): the interface that other programs know. `barid send`,
 * `barid mailq` and `barid newaliases` are the same. No privileges: whoever runs it speaks to the
 * submit socket as himself.
 *
 * The options are a fixed set; an unknown one is an error, none names a file (but --config of
 * `barid send`, which a program that calls "sendmail" with what users typed cannot reach). */
#ifndef BARID_SENDMAIL_H
#define BARID_SENDMAIL_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sendmail_mode {
    SENDMAIL_MESSAGE, /* -bm */
    SENDMAIL_SMTP,    /* -bs */
    SENDMAIL_LIST,    /* -bp */
    SENDMAIL_ALIASES, /* -bi, -I */
    SENDMAIL_RETRY,   /* -q */
};

struct hold {
    int64_t for_s;   /* HOLDFOR; 0: not */
    int64_t until_s; /* HOLDUNTIL, seconds since 1970; 0: not */
};

struct sendmail {
    enum sendmail_mode mode;
    const char *program;      /* as it was called, for messages */
    const char *config_given; /* --config */
    bool takes_config;
    const char *from;                    /* -f, -r; NULL: not given */
    const char *full_name;               /* -F */
    bool reads_rcpts;                    /* -t */
    bool ignores_dots;                   /* -i */
    bool is_verbose;                     /* -v */
    const char *notify, *ret, *envid;    /* DSN: -N, -R, -V; NULL: not given */
    const char *hold_for, *hold_until;   /* --hold-for, --hold-until; NULL: not given, */
    struct hold hold;                    /* and what they mean (cli/hold.h) */
    const char *retry_domain, *retry_id; /* -qR, -qI */
    char **rcpts;
    size_t n_rcpts;
};

/* Reads the command line. 0, or -1 and e. */
int sendmail_args(struct sendmail *s, int argc, char **argv, struct error *e);

/* What `barid` was called as, or a word behind it, may be one of these: true and *status if it was.
 */
bool sendmail_is_called(int argc, char **argv, int *status);

#endif
