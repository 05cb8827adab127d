/* Fuzz targets: one function for each input that comes from somebody we do not trust. The same code
 * runs under libFuzzer (`./dev fuzz`) and, over the corpus and mutations of it, in every test run.
 * A target aborts on a wrong result; the sanitizers find the rest. */
#ifndef BARID_FUZZ_H
#define BARID_FUZZ_H

#include "common/str.h"

struct fuzz_target {
    const char *name; /* also its directory below tests/fuzz/corpus */
    void (*run)(struct span in);
};
extern const struct fuzz_target fuzz_targets[]; /* a NULL name ends them */

void fuzz_check(bool is_right, const char *what);
void fuzz_no_log(struct span lines); /* for log_set_sink */

#define FUZZ_TARGETS(T)                                                                            \
    T(addr)                                                                                        \
    T(bdat)                                                                                        \
    T(body)                                                                                        \
    T(config)                                                                                      \
    T(content)                                                                                     \
    T(dns)                                                                                         \
    T(dsn)                                                                                         \
    T(form)                                                                                        \
    T(http)                                                                                        \
    T(rua)                                                                                         \
    T(sts)                                                                                         \
    T(letter)                                                                                      \
    T(line)                                                                                        \
    T(log)                                                                                         \
    T(mbox)                                                                                        \
    T(multiline)                                                                                   \
    T(pop3in)                                                                                      \
    T(proto)                                                                                       \
    T(proxy)                                                                                       \
    T(reply)                                                                                       \
    T(sasl)                                                                                        \
    T(scram)                                                                                       \
    T(scramc)                                                                                      \
    T(seal)                                                                                        \
    T(session)                                                                                     \
    T(srs)                                                                                         \
    T(uidlist)
/* Those that need files or sockets: a program of their own, with fewer mutations. (smtpd and pop3d
 * both have a session.c, so they cannot be in one program either.) */
#define FUZZ_SLOW_TARGETS(T) T(pop3) T(rows)
#define FUZZ_DECLARE(name)   void fuzz_##name(struct span in);
FUZZ_TARGETS(FUZZ_DECLARE)
FUZZ_SLOW_TARGETS(FUZZ_DECLARE)

#endif
