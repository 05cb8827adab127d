#include "common/handed.h"

#include <errno.h>
#include <sys/stat.h>

#define PAIR_MAX  (256U << 10)
#define TRUST_MAX (1U << 20)
#define RCPTS_MAX (16U << 20)

void handed_add(struct handed *h, const struct msg_child_file *m, int fd)
{
    if (h->n >= HANDED_MAX ||
        array_reserve((void **)&h->list, &h->cap, h->n + 1, sizeof *h->list) < 0) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct handed_file *f = &h->list[h->n++];
    *f = (struct handed_file){.kind = m->kind, .section = m->section, .fd = fd};
    if (span_copy(f->why, sizeof f->why, m->why) < 0)
        f->why[0] = '\0';
}

static struct handed_file *find(struct handed *h, enum file_kind kind, size_t section)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->list[i].kind == kind && h->list[i].section == section)
            return &h->list[i];
    return NULL;
}

/* At an offset of our own: others may read through the same open file. */
static char *read_all(int fd, size_t max, size_t *n, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size > max) {
        error_set(e, "the file is larger than %zu KiB", max >> 10);
        return NULL;
    }
    size_t size = (size_t)st.st_size;
    char *text = malloc(size + 1);
    for (*n = 0; text != NULL && *n < size;) {
        ssize_t got = pread(fd, text + *n, size - *n, (off_t)*n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error_set(e, "cannot read the file: %s", strerror(errno));
            free(text);
            return NULL;
        }
        if (got == 0)
            break;
        *n += (size_t)got;
    }
    if (text == NULL)
        error_set(e, "out of memory");
    else
        text[*n] = '\0';
    return text;
}

static size_t max_of(enum file_kind kind)
{
    if (kind == FILE_RECIPIENTS)
        return RCPTS_MAX;
    return kind == FILE_CERTIFICATE || kind == FILE_KEY ? PAIR_MAX : TRUST_MAX;
}

char *handed_read(struct handed *h, enum file_kind kind, size_t section, size_t *n, struct error *e)
{
    struct handed_file *f = find(h, kind, section);
    char *text = NULL;
    *n = 0;
    if (f == NULL)
        error_set(e, "the parent did not hand the file over");
    else if (f->fd < 0)
        error_set(e, "%s", f->why);
    else
        text = read_all(f->fd, max_of(kind), n, e);
    if (f != NULL) {
        if (f->fd >= 0)
            close(f->fd);
        *f = h->list[--h->n];
    }
    return text;
}

void handed_clear(struct handed *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->list[i].fd >= 0)
            close(h->list[i].fd);
    free(h->list);
    *h = (struct handed){0};
}
