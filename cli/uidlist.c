#include "cli/uidlist.h"

#include <errno.h>
#include <sodium.h>

#define LINE_MAX_OCTETS 4096
#define WIDTH_MAX       32

struct span uidlist_base(struct span name)
{
    const char *colon = name.n > 0 ? memchr(name.p, ':', name.n) : NULL;
    return colon != NULL ? (struct span){name.p, (size_t)(colon - name.p)} : name;
}

bool uidlist_is_uidl(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '!' || s.p[i] > '~')
            return false;
    return s.n > 0 && s.n <= UIDL_MAX;
}

/* --- pop3_uidl_format --- */

/* What a format is made of, of one message. */
struct facts {
    uint64_t uid, uidvalidity;
    struct span filename, guid;
};

struct variable {
    char letter;
    bool is_hex, has_zeros;
    size_t width;
};

static char letter_of(struct span name)
{
    static const struct {
        const char *name;
        char letter;
    } names[] = {{"uid", 'u'}, {"uidvalidity", 'v'}, {"filename", 'f'}, {"guid", 'g'}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_eq(name, span_of(names[i].name)))
            return names[i].letter;
    return '\0';
}

/* "hex" or "hex(8)". */
static bool read_filter(struct span filter, struct variable *v)
{
    uint64_t width = 0;
    if (!span_starts(filter, SPAN("hex")))
        return false;
    filter = span_from(filter, 3);
    v->is_hex = true;
    if (filter.n == 0)
        return true;
    if (filter.n < 3 || filter.p[0] != '(' || filter.p[filter.n - 1] != ')' ||
        span_u64((struct span){filter.p + 1, filter.n - 2}, &width) < 0 || width > WIDTH_MAX)
        return false;
    v->has_zeros = true;
    v->width = (size_t)width;
    return true;
}

/* "{uid | hex(8)}" at the start of *f. */
static bool read_braced(struct span *f, struct variable *v)
{
    struct span inside = span_cut(f, '}');
    if (f->p == NULL)
        return false;
    inside = span_from(inside, 1);
    v->letter = letter_of(span_trim(span_cut(&inside, '|')));
    return v->letter != '\0' && (inside.p == NULL || read_filter(span_trim(inside), v));
}

/* What follows a '%'. */
static bool read_variable(struct span *f, struct variable *v)
{
    *v = (struct variable){.letter = '\0'};
    if (f->n > 0 && f->p[0] == '{')
        return read_braced(f, v);
    for (; f->n > 0 && f->p[0] >= '0' && f->p[0] <= '9'; *f = span_from(*f, 1)) {
        v->has_zeros |= v->width == 0 && f->p[0] == '0';
        v->width = v->width * 10 + (size_t)(f->p[0] - '0');
        if (v->width > WIDTH_MAX)
            return false;
    }
    if (f->n > 0 && f->p[0] == 'X') {
        v->is_hex = true;
        *f = span_from(*f, 1);
    }
    if (f->n == 0)
        return false;
    v->letter = f->p[0];
    *f = span_from(*f, 1);
    return v->letter == '%' || (v->letter != '\0' && strchr("uvfg", v->letter) != NULL);
}

static struct span number_text(char room[64], const struct variable *v, uint64_t value)
{
    int width = (int)v->width, n;
    unsigned long long x = value;
    if (v->is_hex)
        n = v->has_zeros ? snprintf(room, 64, "%0*llx", width, x)
                         : snprintf(room, 64, "%*llx", width, x);
    else
        n = v->has_zeros ? snprintf(room, 64, "%0*llu", width, x)
                         : snprintf(room, 64, "%*llu", width, x);
    return (struct span){room, (size_t)n};
}

static struct span value_of(char room[64], const struct variable *v, const struct facts *f)
{
    switch (v->letter) {
    case 'u':
        return number_text(room, v, f->uid);
    case 'v':
        return number_text(room, v, f->uidvalidity);
    case 'f':
        return f->filename;
    case 'g':
        return f->guid;
    default:
        return SPAN("%");
    }
}

/* The UIDL's octets in out, or -1: a mistake in the format, or too long. */
static ssize_t expand(const char *format, const struct facts *facts, char out[UIDL_MAX])
{
    struct span f = span_of(format);
    size_t n = 0;
    while (f.n > 0) {
        char room[64];
        struct variable v;
        struct span piece = {f.p, 1};
        bool is_variable = f.p[0] == '%';
        f = span_from(f, 1);
        if (is_variable && !read_variable(&f, &v))
            return -1;
        if (is_variable)
            piece = value_of(room, &v, facts);
        if (piece.n > UIDL_MAX - n)
            return -1;
        memcpy(out + n, piece.p, piece.n);
        n += piece.n;
    }
    return (ssize_t)n;
}

bool uidlist_is_format(const char *format)
{
    char out[UIDL_MAX];
    struct facts facts = {1, 1, SPAN("f"), SPAN("g")};
    ssize_t n = expand(format, &facts, out);
    return n > 0 && uidlist_is_uidl((struct span){out, (size_t)n});
}

/* --- lists --- */

void uidlist_begin(struct uidlist *u, enum uidlist_kind kind, const char *format)
{
    *u = (struct uidlist){.kind = kind, .format = format};
    buf_init(&u->text, UINT32_MAX);
}

void uidlist_free(struct uidlist *u)
{
    free(u->list);
    buf_free(&u->text);
    *u = (struct uidlist){.n = 0};
}

static uint64_t name_hash(struct span name)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES];
    unsigned char hash[crypto_shorthash_BYTES];
    uint64_t out;
    struct span base = uidlist_base(name);
    crypto_shorthash(hash, (const unsigned char *)base.p, base.n, key);
    memcpy(&out, hash, sizeof out);
    return out;
}

static int add(struct uidlist *u, struct span name, struct span uidl)
{
    if (name.n == 0 || !uidlist_is_uidl(uidl))
        return 0;
    if (array_reserve((void **)&u->list, &u->cap, u->n + 1, sizeof *u->list) < 0)
        return -1;
    u->list[u->n] = (struct uidlist_entry){.name = name_hash(name),
                                           .order = (uint32_t)u->n,
                                           .at = (uint32_t)buf_span(&u->text).n,
                                           .n = (uint32_t)uidl.n};
    if (buf_add_span(&u->text, uidl) < 0)
        return -1;
    u->n++;
    return 0;
}

/* "3 V1275660208 N22147 G3085f01b7f…", or "1 1275660208 22147". */
static void dovecot_header(struct uidlist *u, struct span line)
{
    struct span version = span_cut(&line, ' ');
    bool is_old = span_eq(version, SPAN("1"));
    u->has_header = is_old || span_eq(version, SPAN("3"));
    while (line.n > 0) {
        struct span field = span_cut(&line, ' ');
        if (is_old) {
            span_u64(field, &u->uidvalidity);
            return;
        }
        if (field.n > 1 && field.p[0] == 'V')
            span_u64(span_from(field, 1), &u->uidvalidity);
    }
}

/* "25006 W9432 G… P… :1276528487.M364837P9451.host,S=1355:2,S", or "25006 1276528487.M364837:2,".
 */
static int dovecot_line(struct uidlist *u, struct span line)
{
    char room[UIDL_MAX];
    struct facts facts = {.uidvalidity = u->uidvalidity};
    struct span kept = {NULL, 0};
    if (span_u64(span_cut(&line, ' '), &facts.uid) < 0 || line.n == 0)
        return 0;
    while (line.n > 0 && line.p[0] != ':' && memchr(line.p, ' ', line.n) != NULL) {
        struct span field = span_cut(&line, ' ');
        if (field.n > 1 && field.p[0] == 'P')
            kept = span_from(field, 1);
        if (field.n > 1 && field.p[0] == 'G')
            facts.guid = span_from(field, 1);
    }
    if (line.n > 0 && line.p[0] == ':')
        line = span_from(line, 1);
    facts.filename = uidlist_base(line);
    if (facts.guid.n == 0)
        facts.guid = facts.filename;
    if (kept.n > 0)
        return add(u, line, kept);
    ssize_t n = expand(u->format, &facts, room);
    return n > 0 ? add(u, line, (struct span){room, (size_t)n}) : 0;
}

static struct span cut_last(struct span *s, char sep)
{
    size_t at = s->n;
    while (at > 0 && s->p[at - 1] != sep)
        at--;
    if (at == 0)
        return (struct span){NULL, 0};
    struct span last = span_from(*s, at);
    s->n = at - 1;
    return last;
}

/* Courier's own name for what it never gave a number: the file's, with what is unusual as +XX. */
/* "+2F": three octets. */
static size_t put_hex(char *out, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    out[0] = '+';
    out[1] = hex[c >> 4];
    out[2] = hex[c & 15];
    return 3;
}

static struct span courier_name(struct span name, char room[UIDL_MAX])
{
    struct span base = uidlist_base(name);
    size_t n = 0;
    for (size_t i = 0; i < base.n; i++) {
        unsigned char c = (unsigned char)base.p[i];
        bool is_odd = c < 0x21 || c > 0x7e || c == '\'' || c == '"' || c == '+';
        if (UIDL_MAX - n < 4)
            return (struct span){NULL, 0};
        if (is_odd)
            n += put_hex(room + n, c);
        else
            room[n++] = (char)c;
    }
    return (struct span){room, n};
}

/* "1276528487.M364837:2,S 1355 17:1143654321:0"; the name may have spaces. */
static int courier_line(struct uidlist *u, struct span line)
{
    char room[UIDL_MAX + 1];
    uint64_t uid, uidvalidity = 0, size;
    struct span uids = cut_last(&line, ' ');
    struct span octets = cut_last(&line, ' ');
    struct span first = span_cut(&uids, ':');
    struct span second = span_cut(&uids, ':');
    if (span_u64(octets, &size) < 0 || span_u64(first, &uid) < 0)
        return 0;
    if (second.n > 0 && span_u64(second, &uidvalidity) < 0)
        return 0;
    if (uid == 0)
        return add(u, line, courier_name(line, room));
    if (uidvalidity != 0)
        snprintf(room, sizeof room, "UID%llu-%llu", (unsigned long long)uid,
                 (unsigned long long)uidvalidity);
    else
        snprintf(room, sizeof room, "UID%llu", (unsigned long long)uid);
    return add(u, line, span_of(room));
}

int uidlist_line(struct uidlist *u, struct span line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return 0;
    if (u->kind == UIDLIST_COURIER) {
        bool is_header = !u->has_header && line.p[0] == '/';
        u->has_header = true;
        return is_header ? 0 : courier_line(u, line);
    }
    if (!u->has_header) {
        dovecot_header(u, line);
        return 0;
    }
    return dovecot_line(u, line);
}

int uidlist_read(struct uidlist *u, int fd, struct error *e)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;
    FILE *f = fdopen(dup(fd), "r");
    if (f == NULL)
        return error_set(e, "cannot read the list of UIDLs: %s", strerror(errno));
    while (rc == 0 && (n = getline(&line, &cap, f)) > 0)
        if (n < LINE_MAX_OCTETS)
            rc = uidlist_line(u, (struct span){line, (size_t)n - (line[n - 1] == '\n')});
    if (rc < 0)
        error_set(e, "no memory for the list of UIDLs");
    else if (ferror(f))
        rc = error_set(e, "cannot read the list of UIDLs: %s", strerror(errno));
    free(line);
    fclose(f);
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct uidlist_entry *x = a, *y = b;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

const struct uidlist_entry *uidlist_find(struct uidlist *u, struct span name)
{
    uint64_t wanted = name_hash(name);
    size_t from = 0, to = u->n;
    if (!u->is_sorted && u->n > 1)
        qsort(u->list, u->n, sizeof *u->list, compare);
    u->is_sorted = true;
    while (from < to) { /* the last of equal ones: a list that is appended to says it anew */
        size_t middle = from + (to - from) / 2;
        if (u->list[middle].name <= wanted)
            from = middle + 1;
        else
            to = middle;
    }
    return from > 0 && u->list[from - 1].name == wanted ? &u->list[from - 1] : NULL;
}

struct span uidlist_uidl(const struct uidlist *u, const struct uidlist_entry *e)
{
    return (struct span){buf_span(&u->text).p + e->at, e->n};
}
