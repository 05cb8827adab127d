#include "common/listing.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS    (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define TEXT_MAX ((uint64_t)LISTING_MAX * LISTING_UIDL_MAX)

int listing_create(void)
{
    return memfd_create("listing", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int listing_seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0 ? -1 : 0;
}

bool listing_is_uidl(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '!' || s.p[i] > '~')
            return false;
    return s.n >= 1 && s.n <= LISTING_UIDL_MAX;
}

static bool is_sealed_file(int fd, uint64_t octets)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_size >= 0 && (uint64_t)st.st_size == octets;
}

static bool has_good_uidl(const struct listing *l, const struct listing_entry *e)
{
    if (e->uidl_n == 0)
        return true;
    if (e->uidl_at > l->text.n || e->uidl_n > l->text.n - e->uidl_at)
        return false;
    return listing_is_uidl((struct span){l->text.p + e->uidl_at, e->uidl_n});
}

/* Adds up the octets on the way. */
static bool is_sound(struct listing *l)
{
    uint64_t last = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct listing_entry *e = &l->list[i];
        if (e->sequence <= last || e->sequence > INT64_MAX || e->id == 0 || e->octets == 0 ||
            e->octets > INT64_MAX - l->octets || !has_good_uidl(l, e))
            return false;
        last = e->sequence;
        l->octets += e->octets;
    }
    return true;
}

int listing_map(struct listing *l, int fd, uint64_t n, uint64_t text_n)
{
    *l = (struct listing){0};
    if (n == 0)
        return fd < 0 && text_n == 0 ? 0 : -1;
    if (fd < 0 || n > LISTING_MAX || text_n > TEXT_MAX)
        return -1;
    uint64_t octets = n * sizeof *l->list + text_n;
    if (!is_sealed_file(fd, octets))
        return -1;
    void *map = mmap(NULL, (size_t)octets, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -1;
    *l = (struct listing){.list = map, .n = (size_t)n, .map = map, .map_n = (size_t)octets};
    l->text = (struct span){(const char *)map + n * sizeof *l->list, (size_t)text_n};
    if (is_sound(l))
        return 0;
    listing_unmap(l);
    return -1;
}

void listing_unmap(struct listing *l)
{
    if (l->map != NULL)
        munmap(l->map, l->map_n);
    *l = (struct listing){0};
}

struct span listing_uidl(const struct listing *l, const struct listing_entry *e, char room[ID_TEXT])
{
    if (e->uidl_n > 0)
        return (struct span){l->text.p + e->uidl_at, e->uidl_n};
    id_format(room, e->id);
    return (struct span){room, ID_TEXT - 1};
}
