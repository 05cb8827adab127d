/* The targets under libFuzzer: FUZZ_TARGET names one. Built with ./configure --enable-fuzzer. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const struct fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    const char *name = getenv("FUZZ_TARGET");
    for (target = fuzz_targets; name != NULL && target->name != NULL; target++)
        if (strcmp(target->name, name) == 0)
            return 0;
    fputs("set FUZZ_TARGET to one of:", stderr);
    for (target = fuzz_targets; target->name != NULL; target++)
        fprintf(stderr, " %s", target->name);
    fputs("\n", stderr);
    exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    target->run((struct span){(const char *)data, size});
    return 0;
}
