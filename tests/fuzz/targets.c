#include "tests/fuzz/fuzz.h"

#define FUZZ_ROW(name) {#name, fuzz_##name},
const struct fuzz_target fuzz_targets[] = {FUZZ_TARGETS(FUZZ_ROW){NULL, NULL}};

void fuzz_check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}
