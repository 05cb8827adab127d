#include "authd/srs.h"

#include "common/addr.h"

#include <sodium.h>

#define DAY_S      86400
#define DAYS_CYCLE 1024 /* two characters of base32 */
#define MAC_OCTETS 16   /* the least that BLAKE2b gives; SRS_HASH characters of it are used */
#define TAG        4    /* "SRS0" */

_Static_assert(SRS_HASH * 5 <= MAC_OCTETS * 8, "there are so many bits");

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

void srs_key(const unsigned char *secret, size_t n, unsigned char key[SRS_KEY_OCTETS])
{
    static const unsigned char use[] = "barid: senders of forwarded mail";
    crypto_generichash(key, SRS_KEY_OCTETS, use, sizeof use, secret, n);
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Each part ends with a NUL, so that none can take octets of the next. */
static void make_hash(char out[SRS_HASH + 1], const unsigned char key[SRS_KEY_OCTETS],
                      const struct span *parts, size_t n)
{
    crypto_generichash_state s;
    unsigned char mac[MAC_OCTETS];
    crypto_generichash_init(&s, key, SRS_KEY_OCTETS, sizeof mac);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < parts[i].n; j++) {
            unsigned char c = (unsigned char)ascii_lower(parts[i].p[j]);
            crypto_generichash_update(&s, &c, 1);
        }
        crypto_generichash_update(&s, (const unsigned char *)"", 1);
    }
    crypto_generichash_final(&s, mac, sizeof mac);
    for (size_t i = 0; i < SRS_HASH; i++) {
        size_t bit = i * 5;
        unsigned two = (unsigned)mac[bit / 8] << 8 | mac[bit / 8 + 1];
        out[i] = base32[two >> (11 - bit % 8) & 31];
    }
    out[SRS_HASH] = '\0';
}

static bool is_hash(struct span given, const char expected[SRS_HASH + 1])
{
    char text[SRS_HASH];
    if (given.n != SRS_HASH)
        return false;
    for (size_t i = 0; i < SRS_HASH; i++)
        text[i] = upper(given.p[i]);
    return sodium_memcmp(text, expected, SRS_HASH) == 0;
}

static bool is_separator(char c)
{
    return c == '=' || c == '+' || c == '-';
}

static bool begins(struct span local, const char *tag)
{
    return local.n > TAG && span_istarts(local, span_of(tag)) && is_separator(local.p[TAG]);
}

/* A local part and a domain as the canonical text of an address. The local part may have any
 * octets, so it is read with quotes around it. */
static int join(const char *local, struct span domain, char out[ADDRESS_MAX])
{
    char quoted[2 * ADDRESS_MAX + DOMAIN_MAX + 8];
    struct addr a;
    size_t n = 0, used;
    quoted[n++] = '"';
    for (; *local != '\0' && n + 4 + domain.n < sizeof quoted; local++) {
        if (*local == '"' || *local == '\\')
            quoted[n++] = '\\';
        quoted[n++] = *local;
    }
    if (*local != '\0' || n + 2 + domain.n > sizeof quoted)
        return -1;
    quoted[n++] = '"';
    quoted[n++] = '@';
    memcpy(quoted + n, domain.p, domain.n);
    n += domain.n;
    if (addr_parse((struct span){quoted, n}, ADDR_MAILBOX, &a, &used) < 0)
        return -1;
    return span_copy(out, ADDRESS_MAX, span_of(a.text));
}

/* "SRS1=hash=domain=rest" behind its tag and separator. The rest begins with the separator that
 * followed SRS0 there. */
struct twice {
    struct span hash, domain, rest;
};

static int take_twice(struct span local, struct twice *t)
{
    struct span left = span_from(local, TAG + 1);
    t->hash = span_cut(&left, '=');
    t->domain = left.p != NULL ? span_cut(&left, '=') : SPAN("");
    t->rest = left.p != NULL ? left : SPAN("");
    bool is_good = t->domain.n > 0 && t->rest.n > 1 && is_separator(t->rest.p[0]);
    return is_good ? 0 : -1;
}

/* Where mail for it goes: back to who made the SRS0. 0, or -1: nowhere. */
static int join_first(const struct twice *t, char out[ADDRESS_MAX])
{
    char text[ADDRESS_MAX];
    if (TAG + t->rest.n >= sizeof text)
        return -1;
    memcpy(text, "SRS0", TAG);
    memcpy(text + TAG, t->rest.p, t->rest.n);
    text[TAG + t->rest.n] = '\0';
    return join(text, t->domain, out);
}

#define LOCAL_MAX (2 * ADDRESS_MAX) /* join bounds it */

/* The parts with = between them. 0, or -1: no room. */
static int glue(const struct span *parts, size_t n, char out[LOCAL_MAX])
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (LOCAL_MAX - at < parts[i].n + 2)
            return -1;
        if (i > 0)
            out[at++] = '=';
        if (parts[i].n > 0)
            memcpy(out + at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    out[at] = '\0';
    return 0;
}

static int print_twice(const unsigned char key[SRS_KEY_OCTETS], const struct twice *t,
                       char local[LOCAL_MAX])
{
    char hash[SRS_HASH + 1];
    make_hash(hash, key, (struct span[]){SPAN("1"), t->domain, t->rest}, 3);
    return glue((struct span[]){SPAN("SRS1"), span_of(hash), t->domain, t->rest}, 4, local);
}

static int print_once(const unsigned char key[SRS_KEY_OCTETS], const struct addr *sender,
                      int64_t now_s, char local[LOCAL_MAX])
{
    char hash[SRS_HASH + 1];
    unsigned day = (unsigned)(now_s / DAY_S % DAYS_CYCLE);
    char stamp[3] = {base32[day >> 5 & 31], base32[day & 31], '\0'};
    struct span parts[] = {SPAN("0"), span_of(stamp), span_of(sender->domain),
                           span_of(sender->local)};
    make_hash(hash, key, parts, 4);
    return glue((struct span[]){SPAN("SRS0"), span_of(hash), parts[1], parts[2], parts[3]}, 5,
                local);
}

/* Has a forwarder made it already? Anybody can write one: if it leads nowhere it is a name like
 * others. */
static bool is_forwarded(const struct addr *a, struct twice *t)
{
    char back[ADDRESS_MAX];
    struct span was = span_of(a->local);
    bool is_it = begins(was, "SRS1") && take_twice(was, t) == 0;
    if (begins(was, "SRS0") && was.n > TAG + 1) {
        *t = (struct twice){.domain = span_of(a->domain), .rest = span_from(was, TAG)};
        is_it = true;
    }
    return is_it && join_first(t, back) == 0;
}

int srs_forward(const unsigned char key[SRS_KEY_OCTETS], struct span sender, struct span domain,
                int64_t now_s, char out[ADDRESS_MAX])
{
    struct addr a;
    struct twice t;
    size_t used;
    char local[LOCAL_MAX];
    if (addr_parse(sender, ADDR_MAILBOX, &a, &used) < 0)
        return -1;
    bool is_twice = is_forwarded(&a, &t);
    int rc = is_twice ? print_twice(key, &t, local) : print_once(key, &a, now_s, local);
    return rc == 0 ? join(local, domain, out) : -1;
}

static enum srs_kind reverse_twice(const unsigned char key[SRS_KEY_OCTETS], struct span local,
                                   char out[ADDRESS_MAX])
{
    struct twice t;
    char hash[SRS_HASH + 1];
    if (take_twice(local, &t) < 0)
        return SRS_FORGED;
    make_hash(hash, key, (struct span[]){SPAN("1"), t.domain, t.rest}, 3);
    return is_hash(t.hash, hash) && join_first(&t, out) == 0 ? SRS_GOOD : SRS_FORGED;
}

/* The day of a stamp, counted from the start of its cycle; -1: none. */
static int64_t day_of(struct span stamp)
{
    int64_t day = 0;
    if (stamp.n != 2)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        const char *at = memchr(base32, upper(stamp.p[i]), sizeof base32 - 1);
        if (at == NULL)
            return -1;
        day = day * 32 + (at - base32);
    }
    return day;
}

/* A stamp of tomorrow is good too: clocks of ours may have been set back. */
static bool is_old(int64_t day, int64_t now_s, int64_t days_max)
{
    int64_t age = (now_s / DAY_S - day) % DAYS_CYCLE;
    return age > days_max && age != DAYS_CYCLE - 1;
}

static enum srs_kind reverse_once(const unsigned char key[SRS_KEY_OCTETS], struct span local,
                                  int64_t now_s, int64_t days_max, char out[ADDRESS_MAX])
{
    char expected[SRS_HASH + 1], text[ADDRESS_MAX];
    struct span left = span_from(local, TAG + 1);
    struct span hash = span_cut(&left, '=');
    struct span stamp = left.p != NULL ? span_cut(&left, '=') : SPAN("");
    struct span domain = left.p != NULL ? span_cut(&left, '=') : SPAN("");
    struct span was = left.p != NULL ? left : SPAN("");
    int64_t day = day_of(stamp);
    if (day < 0 || domain.n == 0 || was.n == 0)
        return SRS_FORGED;
    make_hash(expected, key, (struct span[]){SPAN("0"), stamp, domain, was}, 4);
    if (!is_hash(hash, expected) || span_copy(text, sizeof text, was) < 0)
        return SRS_FORGED;
    if (is_old(day, now_s, days_max))
        return SRS_OLD;
    return join(text, domain, out) == 0 ? SRS_GOOD : SRS_FORGED;
}

enum srs_kind srs_reverse(const unsigned char key[SRS_KEY_OCTETS], struct span address,
                          int64_t now_s, int64_t days_max, char out[ADDRESS_MAX])
{
    struct addr a;
    size_t used;
    if (!span_istarts(address, SPAN("SRS")) && !span_istarts(address, SPAN("\"SRS")))
        return SRS_OTHER; /* most are not: no need to read them */
    if (addr_parse(address, ADDR_MAILBOX, &a, &used) < 0)
        return SRS_OTHER;
    struct span local = span_of(a.local);
    if (begins(local, "SRS0"))
        return reverse_once(key, local, now_s, days_max, out);
    return begins(local, "SRS1") ? reverse_twice(key, local, out) : SRS_OTHER;
}
