#include "authd/verify_child.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

/* libsodium says EINVAL for "does not match" (and for a string of another kind), and something else
 * when it could not find out. */
static enum verify_result check(const char *hash, struct span password)
{
    if (!span_starts(span_of(hash), SPAN("$argon2id$")))
        return VERIFY_FAULT;
    errno = 0;
    if (crypto_pwhash_str_verify(hash, password.p, password.n) == 0)
        return VERIFY_MATCH;
    return errno == EINVAL ? VERIFY_WRONG : VERIFY_FAULT;
}

static size_t answer(struct span ask, const struct verify_spec *spec, char *out, size_t cap)
{
    char hash[USERS_HASH_MAX] = "";
    enum verify_result result = VERIFY_FAULT;
    struct unpacker r = unpacker_on(ask);
    uint64_t op = unpack_uint(&r, 1);
    struct span given = unpack_bytes(&r, sizeof hash - 1);
    struct span salt = unpack_bytes(&r, SCRAM_SALT_OCTETS);
    uint64_t iterations = unpack_uint(&r, 4);
    struct span password = unpack_bytes(&r, PASSWORD_MAX);
    struct scram_keys keys = {0};
    bool is_good = unpack_done(&r) && span_copy(hash, sizeof hash, given) == 0;
    if (is_good && op == VERIFY_OP_CHECK)
        result = check(hash, password);
    else if (is_good && op == VERIFY_OP_HASH &&
             crypto_pwhash_str_alg(hash, password.p, password.n, spec->passes, spec->memory,
                                   crypto_pwhash_ALG_ARGON2ID13) == 0)
        result = VERIFY_MATCH;
    bool wants_keys = op == VERIFY_OP_HASH ? result == VERIFY_MATCH : result == VERIFY_WRONG;
    if (is_good && wants_keys && iterations > 0)
        scram_derive(password, salt, (uint32_t)iterations, &keys);
    struct packer w = packer_on(out, cap);
    pack_uint(&w, result, 1);
    pack_bytes(&w, op == VERIFY_OP_HASH && result == VERIFY_MATCH ? span_of(hash) : SPAN(""));
    pack_bytes(&w, (struct span){(const char *)keys.stored, sizeof keys.stored});
    pack_bytes(&w, (struct span){(const char *)keys.server, sizeof keys.server});
    sodium_memzero(&keys, sizeof keys);
    return w.n;
}

int verify_child(int fd, const struct verify_spec *spec)
{
    char in[VERIFY_ASK_MAX], out[VERIFY_ANSWER_MAX];
    struct error e;
    pid_t parent = getppid();
    signal(SIGTERM, SIG_IGN); /* it ends with its channel, after the answers */
    signal(SIGINT, SIG_IGN);
    if (spec->jail != NULL && jail_enter(spec->jail, &e) < 0) {
        char octet;
        if (getppid() != parent || recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
            return 0; /* authd is gone already, and has said why; a sibling may hold its end */
        fprintf(stderr, "- verifier-failed why=\"%s\"\n", e.text);
        return 1;
    }
    for (;;) {
        ssize_t n = recv(fd, in, sizeof in, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? 0 : 1;
        size_t n_out = answer((struct span){in, (size_t)n}, spec, out, sizeof out);
        sodium_memzero(in, sizeof in);
        if (send(fd, out, n_out, MSG_NOSIGNAL) < 0)
            return 1;
    }
}
