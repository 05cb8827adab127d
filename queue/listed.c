#include "queue/listed.h"

#include "common/addr.h"
#include "common/idn.h"
#include "common/proto.h"

#include <stdlib.h>

struct listed {
    size_t n;
    struct span *addresses; /* in order; they point into `text` */
    char text[];
};

static int compare(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return span_compare(*x, *y);
}

/* The address of a line in the form that is compared, at `out`: 1, 0 if there is none, -1 if it is
 * no address. What is folded can be a little longer than what was written. */
static int read_line(struct span line, char out[ADDRESS_MAX])
{
    struct addr a;
    size_t used;
    struct span text = span_trim(span_cut(&line, '#'));
    while (text.n > 0 && text.p[text.n - 1] == '\r')
        text = span_trim((struct span){text.p, text.n - 1});
    if (text.n == 0)
        return 0;
    if (addr_parse(text, ADDR_MAILBOX, &a, &used) < 0 || used != text.n)
        return -1;
    return idn_fold(span_of(a.text), out, ADDRESS_MAX) < 0 ? -1 : 1;
}

/* Reads all lines: how many octets their addresses take, and into `l` if it is there. */
static size_t read_lines(struct span text, struct listed *l, size_t *n, size_t *n_bad)
{
    char address[ADDRESS_MAX];
    size_t octets = 0;
    *n = *n_bad = 0;
    while (text.n > 0) {
        int rc = read_line(span_cut(&text, '\n'), address);
        *n_bad += rc < 0;
        if (rc <= 0)
            continue;
        size_t length = strlen(address);
        if (l != NULL) {
            memcpy(l->text + octets, address, length);
            l->addresses[*n] = (struct span){l->text + octets, length};
        }
        octets += length;
        ++*n;
    }
    return octets;
}

struct listed *listed_new(struct span text, size_t *n_bad)
{
    size_t n;
    size_t octets = read_lines(text, NULL, &n, n_bad);
    struct listed *l = malloc(sizeof *l + octets + 1);
    if (l == NULL || (l->addresses = alloc_array(n + 1, sizeof *l->addresses)) == NULL) {
        free(l);
        return NULL;
    }
    read_lines(text, l, &l->n, n_bad);
    qsort(l->addresses, l->n, sizeof *l->addresses, compare);
    return l;
}

void listed_free(struct listed *l)
{
    if (l != NULL)
        free(l->addresses);
    free(l);
}

bool listed_has(const struct listed *l, struct span address)
{
    char folded[ADDRESS_MAX];
    if (idn_fold(address, folded, sizeof folded) < 0)
        return false;
    struct span key = span_of(folded);
    return span_starts(key, SPAN("postmaster@")) ||
           bsearch(&key, l->addresses, l->n, sizeof key, compare) != NULL;
}

size_t listed_count(const struct listed *l)
{
    return l->n;
}
