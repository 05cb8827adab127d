#include "common/peers.h"

#include "common/clock.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define WAYS        16 /* places that an address can have */
#define WORKERS_MAX 1024

/* Counts are read by other processes while they change: each is one aligned word. */
struct place {
    uint8_t octets[16];
    uint32_t n;           /* 0: free */
    uint32_t connections; /* now */
    uint32_t fresh;       /* new ones in this period */
    uint32_t unused;
    int64_t until_ms; /* end of the period */
};

struct part {
    uint64_t connections;
    struct place places[PEERS_MAX];
};

struct memory {
    unsigned char hash_key[crypto_shorthash_KEYBYTES]; /* nobody can choose one place for all */
    struct part parts[];
};

struct peers {
    struct memory *shared;
    struct part *mine;
    size_t size;
    unsigned workers;
    unsigned char hash_key[crypto_shorthash_KEYBYTES];
};

#define READ(word)         __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define WRITE(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELAXED)

static size_t size_for(unsigned workers)
{
    return sizeof(struct memory) + workers * sizeof(struct part);
}

int peers_memory(unsigned workers)
{
    unsigned char key[crypto_shorthash_KEYBYTES];
    int fd = memfd_create("peers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    crypto_shorthash_keygen(key);
    if (workers <= WORKERS_MAX && ftruncate(fd, (off_t)size_for(workers)) == 0 &&
        pwrite(fd, key, sizeof key, 0) == sizeof key &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The kernel zeroes it, and gives back its whole pages. */
void peers_memory_clear(int memory_fd, unsigned worker)
{
    if (memory_fd >= 0)
        fallocate(memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)size_for(worker),
                  sizeof(struct part));
}

static struct memory *map(int fd, size_t *size)
{
    struct stat st;
    if (fd < 0) {
        *size = size_for(1);
        void *alone = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (alone != MAP_FAILED)
            crypto_shorthash_keygen(((struct memory *)alone)->hash_key);
        return alone != MAP_FAILED ? alone : NULL;
    }
    if (fstat(fd, &st) < 0 || st.st_size < (off_t)size_for(1) ||
        st.st_size > (off_t)size_for(WORKERS_MAX))
        return NULL;
    *size = (size_t)st.st_size;
    void *at = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at != MAP_FAILED ? at : NULL;
}

struct peers *peers_new(int memory_fd, unsigned worker)
{
    struct peers *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->shared = map(memory_fd, &p->size);
    p->workers = (unsigned)((p->size - sizeof(struct memory)) / sizeof(struct part));
    worker = memory_fd < 0 ? 0 : worker;
    if (p->shared == NULL || worker >= p->workers) {
        peers_free(p);
        return NULL;
    }
    p->mine = &p->shared->parts[worker];
    memcpy(p->hash_key, p->shared->hash_key, sizeof p->hash_key);
    return p;
}

void peers_free(struct peers *p)
{
    if (p != NULL && p->shared != NULL)
        munmap(p->shared, p->size);
    free(p);
}

static size_t first_place(const struct peers *p, const struct netaddr *key)
{
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, key->octets, sizeof key->octets, p->hash_key);
    return (hash[0] | (size_t)hash[1] << 8) % PEERS_MAX;
}

static struct place *find(struct part *part, size_t first, const struct netaddr *key)
{
    for (size_t i = 0; i < WAYS; i++) {
        struct place *at = &part->places[(first + i) % PEERS_MAX];
        if (READ(at->n) == key->n && memcmp(at->octets, key->octets, sizeof at->octets) == 0)
            return at;
    }
    return NULL;
}

/* A free place, or that of the one whom it costs least to forget. NULL: all are connected. */
static struct place *make_place(struct part *part, size_t first)
{
    struct place *best = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        struct place *at = &part->places[(first + i) % PEERS_MAX];
        if (at->n == 0 || (at->connections == 0 && at->until_ms <= clock_mono_ms()))
            return at;
        if (at->connections == 0 && (best == NULL || at->fresh < best->fresh))
            best = at;
    }
    return best;
}

static void settle(struct place *at, const struct netaddr *key)
{
    WRITE(at->n, 0);
    memcpy(at->octets, key->octets, sizeof at->octets);
    WRITE(at->fresh, 0);
    WRITE(at->until_ms, 0);
    WRITE(at->n, key->n);
}

struct sum {
    uint64_t connections, fresh;
};

static struct sum sum_of(struct peers *p, size_t first, const struct netaddr *key)
{
    struct sum sum = {0};
    int64_t now = clock_mono_ms();
    for (unsigned w = 0; w < p->workers; w++) {
        struct place *at = find(&p->shared->parts[w], first, key);
        if (at == NULL)
            continue;
        sum.connections += READ(at->connections);
        sum.fresh += READ(at->until_ms) > now ? READ(at->fresh) : 0;
    }
    return sum;
}

static void count(struct peers *p, struct place *at, const struct rate *rate)
{
    int64_t now = clock_mono_ms();
    if (at->until_ms <= now) {
        WRITE(at->fresh, 0);
        WRITE(at->until_ms, now + (rate->is_off ? 0 : rate->period_ms));
    }
    WRITE(at->fresh, at->fresh + 1);
    WRITE(at->connections, at->connections + 1);
    WRITE(p->mine->connections, p->mine->connections + 1);
}

enum peers_answer peers_enter(struct peers *p, const struct netaddr *from,
                              const struct limits_config *limits, bool is_trusted)
{
    struct netaddr key = netaddr_limit_key(from);
    size_t first = first_place(p, &key);
    if (peers_count(p) >= limits->connections)
        return PEERS_FULL;
    if (!is_trusted) {
        struct sum sum = sum_of(p, first, &key);
        if (sum.connections >= limits->connections_per_address)
            return PEERS_TOO_MANY;
        if (!limits->connection_rate.is_off && sum.fresh >= limits->connection_rate.count)
            return PEERS_TOO_FAST;
    }
    struct place *at = find(p->mine, first, &key);
    if (at == NULL && (at = make_place(p->mine, first)) != NULL)
        settle(at, &key);
    if (at == NULL)
        return PEERS_FULL; /* whom we cannot count we cannot limit */
    count(p, at, &limits->connection_rate);
    return PEERS_WELCOME;
}

void peers_leave(struct peers *p, const struct netaddr *from)
{
    struct netaddr key = netaddr_limit_key(from);
    struct place *at = find(p->mine, first_place(p, &key), &key);
    if (at != NULL && at->connections > 0)
        WRITE(at->connections, at->connections - 1);
    if (p->mine->connections > 0)
        WRITE(p->mine->connections, p->mine->connections - 1);
}

uint64_t peers_count(const struct peers *p)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < p->workers; w++)
        n += READ(p->shared->parts[w].connections);
    return n;
}
