/* Runs every target over its corpus and over mutations of it, without clang: part of every test
 * run. replay CORPUS [MUTATIONS]     the files in CORPUS/<target> are seeds; prints "N passed, N
 * failed" A failure aborts in a child, so that the others still run. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/wait.h>

#define SEED_MAX 65536

/* xorshift: the same mutations in every run. */
static uint32_t next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static size_t mutate(char *p, size_t n, uint32_t *state)
{
    static const char *const tokens[] = {"\r\n", ".\r\n", "\r", "\n", ".", "<", ">",
                                         "@",    "\"",    "\\", ":",  " ", "="};
    for (uint32_t times = 1 + next(state) % 4; times > 0; times--) {
        size_t at = n > 0 ? next(state) % n : 0;
        switch (next(state) % 5) {
        case 0: /* another octet */
            if (n > 0)
                p[at] = (char)next(state);
            break;
        case 1: /* cut */
            n = at;
            break;
        case 2: { /* a token in between */
            const char *t = tokens[next(state) % (sizeof tokens / sizeof *tokens)];
            size_t len = strlen(t);
            if (n + len > SEED_MAX)
                break;
            memmove(p + at + len, p + at, n - at);
            memcpy(p + at, t, len);
            n += len;
            break;
        }
        case 3: /* without a piece */
            if (n > 0) {
                size_t len = 1 + next(state) % 16;
                len = len < n - at ? len : n - at;
                memmove(p + at, p + at + len, n - at - len);
                n -= len;
            }
            break;
        default: /* a piece twice */
            if (n > 0) {
                size_t len = 1 + next(state) % 64;
                len = len < n - at ? len : n - at;
                if (n + len > SEED_MAX)
                    break;
                memmove(p + at + len, p + at, n - at);
                n += len;
            }
        }
    }
    return n;
}

/* A buffer of exactly n octets, so that one octet too far is seen. */
static void run_exact(const struct fuzz_target *t, const char *p, size_t n)
{
    char *copy = malloc(n + (n == 0));
    memcpy(copy, p, n);
    t->run((struct span){copy, n});
    free(copy);
}

static void run_seed(const struct fuzz_target *t, const char *path, unsigned mutations)
{
    static char seed[SEED_MAX], work[SEED_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, seed, sizeof seed) : -1;
    if (n < 0) {
        fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
        abort();
    }
    close(fd);
    uint32_t state = 2463534242U;
    run_exact(t, seed, (size_t)n);
    for (unsigned i = 0; i < mutations; i++) {
        memcpy(work, seed, (size_t)n);
        run_exact(t, work, mutate(work, (size_t)n, &state));
    }
}

static int run_corpus(const struct fuzz_target *t, const char *corpus, unsigned mutations)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/%s", corpus, t->name);
    DIR *d = opendir(dir);
    int seeds = 0;
    for (const struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;) {
        char path[PATH_MAX + 300];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        run_seed(t, path, mutations);
        seeds++;
    }
    if (d != NULL)
        closedir(d);
    if (seeds == 0)
        fprintf(stderr, "fuzz: %s: no seeds\n", dir);
    return seeds > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t mutations = 500;
    unsigned passed = 0, failed = 0;
    if (argc < 2 || argc > 3 || (argc == 3 && span_u64(span_of(argv[2]), &mutations) < 0)) {
        fputs("usage: replay CORPUS [MUTATIONS]\n", stderr);
        return 2;
    }
    for (const struct fuzz_target *t = fuzz_targets; t->name != NULL; t++) {
        int status = 1;
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0)
            exit(run_corpus(t, argv[1], (unsigned)mutations));
        waitpid(pid, &status, 0);
        printf("%s fuzz %s\n", status == 0 ? "ok" : "not ok", t->name);
        passed += status == 0;
        failed += status != 0;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
