#include "common/notify.h"

#include "common/utf8.h"

static const struct {
    struct span word;
    uint8_t bit;
} words[] = {
    {{"SUCCESS", 7}, NOTIFY_SUCCESS},
    {{"FAILURE", 7}, NOTIFY_FAILURE},
    {{"DELAY", 5}, NOTIFY_DELAY},
    {{"NEVER", 5}, NOTIFY_NEVER},
};
#define N_WORDS (sizeof words / sizeof words[0])

static uint8_t bit_of(struct span word)
{
    for (size_t i = 0; i < N_WORDS; i++)
        if (span_ieq(word, words[i].word))
            return words[i].bit;
    return 0;
}

bool notify_is_sane(uint64_t notify)
{
    return notify <= NOTIFY_NEVER;
}

int notify_parse(struct span value, uint8_t *out)
{
    uint8_t set = 0;
    do {
        uint8_t bit = bit_of(span_cut(&value, ','));
        if (bit == 0 || (set & bit) != 0)
            return -1;
        set |= bit;
    } while (value.p != NULL);
    if (!notify_is_sane(set))
        return -1;
    *out = set;
    return 0;
}

void notify_format(char out[NOTIFY_TEXT], uint8_t notify)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < N_WORDS; i++) {
        if ((notify & words[i].bit) == 0)
            continue;
        if (n > 0)
            out[n++] = ',';
        memcpy(out + n, words[i].word.p, words[i].word.n + 1);
        n += words[i].word.n;
    }
}

/* --- xtext --- */

static bool is_graphic(char c)
{
    return c >= '!' && c <= '~';
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The octet that "+HH" at the start of `in` stands for, or -1. */
static int hexchar(struct span in)
{
    int high = in.n >= 3 ? hex_of(in.p[1]) : -1, low = in.n >= 3 ? hex_of(in.p[2]) : -1;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Octets over 127 too, up to `last`. */
static ssize_t decode(struct span in, int last, char *out)
{
    ssize_t n = 0;
    while (in.n > 0) {
        bool is_hex = in.p[0] == '+';
        int c = is_hex ? hexchar(in) : in.p[0];
        bool is_shown =
            is_hex ? c >= ' ' && c != 0x7f && c <= last : is_graphic(in.p[0]) && c != '=';
        if (!is_shown)
            return -1;
        out[n++] = (char)c;
        in = span_from(in, is_hex ? 3 : 1);
    }
    return n;
}

ssize_t xtext_decode(struct span in, char *out)
{
    return decode(in, '~', out);
}

ssize_t xtext_encode(struct span in, char *out, size_t cap)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if ((!is_graphic(c) && c != ' ') || n + 4 > cap)
            return -1;
        if (is_graphic(c) && c != '+' && c != '=') {
            out[n++] = c;
            continue;
        }
        out[n++] = '+';
        out[n++] = hex[c >> 4];
        out[n++] = hex[c & 15];
    }
    if (n >= cap)
        return -1;
    out[n] = '\0';
    return (ssize_t)n;
}

bool envid_is_valid(struct span value)
{
    char decoded[ENVID_MAX];
    return value.n > 0 && value.n <= ENVID_MAX && xtext_decode(value, decoded) > 0;
}

/* --- ORCPT --- */

/* RFC 3461 4.2: an atom. */
static bool is_type(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_graphic(s.p[i]) || strchr("()<>@,;:\\\".[]=+", s.p[i]) != NULL)
            return false;
    return s.n > 0;
}

/* The octets of "\x{HEX}" at the start of `in` (RFC 6533 3, EmbeddedUnicodeChar), and the character
 * in *out; or 0. */
static size_t embedded(struct span in, uint32_t *out)
{
    uint32_t code = 0;
    size_t n = 3;
    if (!span_starts(in, SPAN("\\x{")))
        return 0;
    for (; n < in.n && n < 9 && hex_of(in.p[n]) >= 0; n++)
        code = code * 16 + (uint32_t)hex_of(in.p[n]);
    *out = code;
    bool is_char =
        code >= ' ' && code != 0x7f && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return n > 4 && n < in.n && in.p[n] == '}' && is_char ? n + 1 : 0;
}

/* utf-8-addr-xtext: graphic ASCII without "\", "+" and "=", or embedded characters. */
static bool is_utf8_xtext(struct span s)
{
    uint32_t code;
    while (s.n > 0) {
        size_t n = embedded(s, &code);
        if (n == 0 && (!is_graphic(s.p[0]) || strchr("\\+=", s.p[0]) != NULL))
            return false;
        s = span_from(s, n > 0 ? n : 1);
    }
    return true;
}

ssize_t orcpt_show(struct span value, char out[ORCPT_MAX + 2])
{
    if (value.n > ORCPT_MAX)
        return -1;
    struct span address = value, type = span_cut(&address, ';');
    if (!is_type(type) || address.n == 0)
        return -1;
    memcpy(out, type.p, type.n);
    memcpy(out + type.n, "; ", 2);
    char *to = out + type.n + 2;
    ssize_t n = (ssize_t)address.n;
    if (!span_ieq(type, SPAN("utf-8")))
        n = xtext_decode(address, to);
    else if (is_utf8_xtext(address))
        memcpy(to, address.p, address.n);
    else
        n = -1;
    if (n < 0)
        return -1;
    to[n] = '\0';
    return (ssize_t)type.n + 2 + n;
}

/* A character in UTF-8 (RFC 3629 3); the octets. */
static size_t put_character(uint32_t code, char out[4])
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(n == 1 ? code : ((0xf00U >> n) & 0xff) | code);
    return n;
}

/* Embedded characters become what they stand for, which is always shorter. */
static size_t utf8_addr_decode(struct span in, char *out)
{
    size_t n = 0;
    while (in.n > 0) {
        uint32_t code;
        size_t done = embedded(in, &code);
        n += put_character(done > 0 ? code : (unsigned char)in.p[0], out + n);
        in = span_from(in, done > 0 ? done : 1);
    }
    return n;
}

ssize_t orcpt_address(struct span value, char out[ORCPT_MAX + 1])
{
    struct span address = value, type = span_cut(&address, ';');
    ssize_t n = -1;
    if (value.n > ORCPT_MAX || address.n == 0)
        return -1;
    if (span_ieq(type, SPAN("rfc822")))
        n = xtext_decode(address, out);
    else if (span_ieq(type, SPAN("utf-8")) && is_utf8_xtext(address))
        n = (ssize_t)utf8_addr_decode(address, out);
    if (n >= 0)
        out[n] = '\0';
    return n;
}

bool orcpt_is_valid(struct span value)
{
    char shown[ORCPT_MAX + 2];
    return orcpt_show(value, shown) > 0;
}

/* One character of valid UTF-8 at p[0]; *octets of it. */
static uint32_t character(const unsigned char *p, size_t *octets)
{
    *octets = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t code = *octets == 1 ? p[0] : p[0] & (0x7fU >> *octets);
    for (size_t i = 1; i < *octets; i++)
        code = code << 6 | (p[i] & 0x3fU);
    return code;
}

ssize_t utf8_addr_encode(struct span in, char *out, size_t cap)
{
    size_t n = 0, octets;
    if (!utf8_is_valid(in))
        return -1;
    for (size_t at = 0; at < in.n; at += octets) {
        uint32_t code = character((const unsigned char *)in.p + at, &octets);
        bool is_plain = code < 0x80 && is_graphic((char)code) && strchr("\\+=", (int)code) == NULL;
        int added = is_plain ? snprintf(out + n, cap - n, "%c", (char)code)
                             : snprintf(out + n, cap - n, "\\x{%02X}", (unsigned)code);
        if (added < 0 || (size_t)added >= cap - n)
            return -1;
        n += (size_t)added;
    }
    return (ssize_t)n;
}

/* utf-8-addr-unitext: the same with characters that stand there themselves. */
static ssize_t encode_unitext(struct span in, char *out, size_t cap)
{
    size_t n = 0;
    uint32_t code;
    while (in.n > 0) {
        size_t done = embedded(in, &code);
        struct span one = {in.p, done > 0 ? done : utf8_character(in, &code)};
        if (one.n == 0 || one.n >= cap - n || (done == 0 && code < 0x80 && !is_utf8_xtext(one)))
            return -1;
        ssize_t added = done > 0 ? (ssize_t)one.n : utf8_addr_encode(one, out + n, cap - n);
        if (added < 0)
            return -1;
        if (done > 0)
            memcpy(out + n, one.p, one.n);
        n += (size_t)added;
        in = span_from(in, one.n);
    }
    out[n] = '\0';
    return (ssize_t)n;
}

int orcpt_read(struct span value, char out[ORCPT_MAX + 1])
{
    static const char utf8[] = "utf-8;";
    char decoded[ORCPT_MAX], *to = out + sizeof utf8 - 1;
    size_t room = ORCPT_MAX + 1 - (sizeof utf8 - 1);
    struct span address = value, type = span_cut(&address, ';');
    ssize_t n = -1;
    if (orcpt_is_valid(value))
        return span_copy(out, ORCPT_MAX + 1, value);
    if (value.n > ORCPT_MAX)
        return -1;
    memcpy(out, utf8, sizeof utf8);
    if (span_ieq(type, SPAN("utf-8"))) {
        n = encode_unitext(address, to, room);
    } else if (span_ieq(type, SPAN("rfc822"))) {
        ssize_t n_decoded = decode(address, 0xff, decoded);
        if (n_decoded > 0)
            n = utf8_addr_encode((struct span){decoded, (size_t)n_decoded}, to, room);
    }
    return n > 0 ? 0 : -1;
}
