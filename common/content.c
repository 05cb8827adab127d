#include "common/content.h"

#include "common/proto.h"

#include <sodium.h>

#define LINE_LIMIT 1000 /* with CRLF: RFC 5321 4.5.3.1.6 */

#define STATE_ALIGNMENT 64
_Static_assert(sizeof(crypto_generichash_state) + STATE_ALIGNMENT <= CONTENT_HASHING,
               "no room for libsodium's state");

/* It wants to stand at a multiple of 64, which malloc does not promise. */
static crypto_generichash_state *state_of(struct content_hash *h)
{
    uintptr_t past = (uintptr_t)h->state % STATE_ALIGNMENT;
    return (crypto_generichash_state *)(void *)(h->state + STATE_ALIGNMENT - past);
}

void content_hash_begin(struct content_hash *h)
{
    crypto_generichash_init(state_of(h), NULL, 0, CONTENT_HASH);
}

void content_hash_add(struct content_hash *h, struct span chunk)
{
    crypto_generichash_update(state_of(h), (const unsigned char *)chunk.p, chunk.n);
}

bool content_hash_is(struct content_hash *h, const unsigned char hash[CONTENT_HASH])
{
    unsigned char is[CONTENT_HASH];
    crypto_generichash_final(state_of(h), is, sizeof is);
    return memcmp(is, hash, sizeof is) == 0;
}

void content_begin(struct content_scan *s)
{
    *s = (struct content_scan){0};
    content_hash_begin(&s->hashing);
}

static bool has_8bit(struct span s)
{
    uint64_t all = 0;
    size_t i = 0;
    for (; i + sizeof all <= s.n; i += sizeof all) {
        uint64_t eight;
        memcpy(&eight, s.p + i, sizeof eight);
        all |= eight;
    }
    unsigned char rest = 0;
    for (; i < s.n; i++)
        rest |= (unsigned char)s.p[i];
    return (all & UINT64_C(0x8080808080808080)) != 0 || (rest & 0x80) != 0;
}

/* `text` is a line or a part of one, without its LF; a CR may stand only at its end. Returns
 * whether the line so far ends with CR. */
static bool check_crs(struct content_scan *s, struct span text)
{
    if (text.n == 0)
        return s->after_cr;
    const char *cr = memchr(text.p, '\r', text.n);
    if (s->after_cr || (cr != NULL && cr != text.p + text.n - 1))
        s->is_damaged = true;
    return text.p[text.n - 1] == '\r';
}

/* A header field is over. */
static void end_field(struct content_scan *s)
{
    struct span value = {s->field, s->field_n <= CONTENT_FIELD ? s->field_n : 0};
    struct span name = span_cut(&value, ':');
    if (span_ieq(name, SPAN("TLS-Required")) && span_ieq(span_trim(value), SPAN("No")))
        s->is_tls_optional = true;
    s->field_n = 0;
}

/* A line of the header, or a part of one. One that starts with white space goes on with the field
 * (RFC 5322 2.2.3). */
static void add_to_field(struct content_scan *s, struct span segment)
{
    bool is_fold = segment.p[0] == ' ' || segment.p[0] == '\t';
    if (s->line == 0 && !is_fold)
        end_field(s);
    while (segment.n > 0 && (segment.p[segment.n - 1] == '\n' || segment.p[segment.n - 1] == '\r'))
        segment.n--;
    size_t room = s->field_n < CONTENT_FIELD ? CONTENT_FIELD - s->field_n : 0;
    size_t n = segment.n < room ? segment.n : room;
    memcpy(s->field + s->field_n, segment.p, n);
    s->field_n = segment.n > room ? CONTENT_FIELD + 1 : s->field_n + n;
}

/* Takes a line or a part of one; has_lf: its last octet is the LF. */
static void add_segment(struct content_scan *s, struct span segment, bool has_lf)
{
    if (s->line == 0 && segment.p[0] == '.')
        s->flags |= CONTENT_DOTS;
    if (!s->in_body)
        add_to_field(s, segment);
    s->after_cr = check_crs(s, (struct span){segment.p, segment.n - has_lf});
    s->octets += segment.n;
    s->line += segment.n;
    if (s->line > LINE_LIMIT)
        s->flags |= CONTENT_LONGLINE;
    if (!has_lf)
        return;
    if (!s->after_cr)
        s->is_damaged = true;
    if (s->line == 2 && s->after_cr && !s->in_body) {
        s->header = s->octets;
        s->in_body = true;
    }
    s->line = 0;
    s->after_cr = false;
}

void content_add(struct content_scan *s, struct span chunk)
{
    if (chunk.n == 0)
        return;
    content_hash_add(&s->hashing, chunk);
    bool is_8bit = has_8bit(chunk);
    if (is_8bit)
        s->flags |= CONTENT_8BIT;
    if (memchr(chunk.p, '\0', chunk.n) != NULL)
        s->is_damaged = true;
    while (chunk.n > 0) {
        const char *lf = memchr(chunk.p, '\n', chunk.n);
        size_t n = lf != NULL ? (size_t)(lf - chunk.p) + 1 : chunk.n;
        struct span segment = {chunk.p, n};
        if (is_8bit && !s->in_body && has_8bit(segment))
            s->flags |= CONTENT_HEADER8;
        add_segment(s, segment, lf != NULL);
        chunk = span_from(chunk, n);
    }
}

void content_end(struct content_scan *s)
{
    if (s->line > 0)
        s->is_damaged = true;
    if (!s->in_body)
        s->header = s->octets;
    end_field(s);
    crypto_generichash_final(state_of(&s->hashing), s->hash, CONTENT_HASH);
}

bool content_is(struct span content, const unsigned char hash[CONTENT_HASH])
{
    unsigned char is[CONTENT_HASH];
    crypto_generichash(is, sizeof is, (const unsigned char *)content.p, content.n, NULL, 0);
    return memcmp(is, hash, sizeof is) == 0;
}
