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

#define FUZZ_TARGETS(T)                                                                            \
    T(addr)                                                                                        \
    T(body)                                                                                        \
    T(config)                                                                                      \
    T(content) T(dns) T(dsn) T(line) T(log) T(multiline) T(proto) T(reply) T(seal) T(session)
#define FUZZ_DECLARE(name) void fuzz_##name(struct span in);
FUZZ_TARGETS(FUZZ_DECLARE)

#endif
