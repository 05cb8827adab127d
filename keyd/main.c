/* keyd: holds the private keys. It speaks to no network, reads key files through the descriptors it
 * is given, and signs only what is part of a TLS handshake (keyd/form.h). */
#include "common/cert.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/stats.h"
#include "common/verdict.h"
#include "keyd/keys.h"

#include <openssl/crypto.h>
#include <sodium.h>

#define REFUSALS_LOG_MS 1000
#define WORKERS_MAX     64

struct keyd {
    struct keys *keys;
    struct ipc *servers[ROLES][WORKERS_MAX];
    uint64_t refused; /* since the last line about it */
    int64_t refused_logged_ms;
};

/* --- reading --- */

static void read_key(struct proc *p, size_t i)
{
    struct keyd *d = proc_state(p);
    const struct tls_config *tls = &proc_config(p)->tls[i];
    struct error e;
    size_t n;
    char *pem = proc_read_file(p, FILE_KEY, i, &n, &e);
    if (pem == NULL || keys_add(d->keys, (struct span){pem, n}, &e) < 0)
        LOG(0, "key-refused", LZ("tls", tls->name), LZ("file", tls->key), LZ("because", e.text));
    if (pem != NULL)
        sodium_memzero(pem, n);
    free(pem);
}

static void read_keys(struct proc *p)
{
    struct keyd *d = proc_state(p);
    keys_begin(d->keys);
    for (size_t i = 0; i < proc_config(p)->n_tls; i++)
        read_key(p, i);
}

/* --- who asks --- */

static void tell(struct proc *p, struct ipc *server)
{
    struct keyd *d = proc_state(p);
    char list[KEYS_MAX * KEY_ID];
    struct msg_key_held m = {.generation = proc_generation(p),
                             .keys = {list, keys_list(d->keys, list, sizeof list)}};
    ipc_send_key_held(server, &m, -1);
}

static void keyd_peer_up(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    struct keyd *d = proc_state(p);
    if (instance >= WORKERS_MAX)
        return;
    d->servers[role][instance] = ch;
    tell(p, ch);
}

static void keyd_peer_down(struct proc *p, enum role role, unsigned instance, struct ipc *ch)
{
    struct keyd *d = proc_state(p);
    if (instance < WORKERS_MAX && d->servers[role][instance] == ch)
        d->servers[role][instance] = NULL;
}

/* One line a second at most: who asks for it may ask often. */
static void log_refusal(struct keyd *d, struct ipc *from, enum keys_answer why)
{
    static const char *const words[] = {
        [KEYS_UNKNOWN] = "there is no such key",
        [KEYS_REFUSED] = "this is not part of a TLS handshake",
        [KEYS_FAILED] = "OpenSSL cannot",
    };
    d->refused++;
    if (clock_mono_ms() - d->refused_logged_ms < REFUSALS_LOG_MS)
        return;
    LOG(0, "not-signed", LZ("for", role_name(ipc_peer(from))), LZ("because", words[why]),
        LN("count", (int64_t)d->refused));
    d->refused = 0;
    d->refused_logged_ms = clock_mono_ms();
}

static void on_sign(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct keyd *d = proc_state(owner);
    unsigned char signature[SIGNATURE_MAX];
    size_t n;
    enum keys_answer answer = keys_sign(d->keys, &m->key_sign, signature, &n);
    struct msg_key_sign_re re = {.tag = m->key_sign.tag, .verdict = VERDICT_TRY_LATER};
    if (answer == KEYS_SIGNED) {
        stats_count(STAT_SIGNATURES);
        re.verdict = VERDICT_OK;
        re.signature = (struct span){(const char *)signature, n};
    } else {
        re.verdict = answer == KEYS_REFUSED ? VERDICT_NEVER : VERDICT_TRY_LATER;
        log_refusal(d, from, answer);
        cert_why(); /* empties OpenSSL's list */
    }
    ipc_send_key_sign_re(from, &re, -1);
}

/* --- life --- */

static int keyd_open(struct proc *p, struct error *e)
{
    struct keyd *d = calloc(1, sizeof *d);
    struct keys *keys = keys_new();
    if (d == NULL || keys == NULL || OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
        free(d);
        keys_free(keys);
        return error_set(e, "out of memory");
    }
    d->keys = keys;
    d->refused_logged_ms = -REFUSALS_LOG_MS;
    proc_set_state(p, d);
    read_keys(p);
    return 0;
}

static void keyd_reloaded(struct proc *p)
{
    struct keyd *d = proc_state(p);
    read_keys(p);
    for (unsigned r = 0; r < ROLES; r++)
        for (unsigned i = 0; i < WORKERS_MAX; i++)
            if (d->servers[r][i] != NULL)
                tell(p, d->servers[r][i]);
}

static const struct ipc_handler handlers[] = {{MSG_KEY_SIGN, on_sign}};

static const struct proc_spec spec = {
    .role = ROLE_KEYD,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .open = keyd_open,
    .peer_up = keyd_peer_up,
    .peer_down = keyd_peer_down,
    .reloaded = keyd_reloaded,
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
