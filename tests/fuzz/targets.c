#include "tests/fuzz/fuzz.h"

#define FUZZ_ROW(name) {#name, fuzz_##name},
#ifdef FUZZ_SLOW
const struct fuzz_target fuzz_targets[] = {FUZZ_SLOW_TARGETS(FUZZ_ROW){NULL, NULL}};
#else
const struct fuzz_target fuzz_targets[] = {FUZZ_TARGETS(FUZZ_ROW){NULL, NULL}};
#endif

void fuzz_no_log(struct span lines)
{
    (void)lines;
}

void fuzz_check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}
