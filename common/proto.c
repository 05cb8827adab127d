#include "common/proto.h"

#include "common/pack.h"

/* Every array ends with an empty row, since a message without fields would otherwise have none. */
#define DESC_FIELD(S, type, field, max) {#field, FIELD_##type, offsetof(struct S, field), max},
#define DESC_FIELDS(NAME, name, from, to, answer, fd, meaning)                                     \
    static const struct field_desc fields_##name[] = {                                             \
        PROTO_FIELDS_##name(DESC_FIELD, msg_##name){NULL, FIELD_U8, 0, 0}};
PROTO_MESSAGES(DESC_FIELDS)

#define N_FIELDS(name) (sizeof fields_##name / sizeof fields_##name[0] - 1)
#define DESC(NAME, name, from, to, answer, fd, meaning)                                            \
    [MSG_##NAME] = {#NAME, meaning, from, to, MSG_##answer, fd, fields_##name, N_FIELDS(name)},
static const struct msg_desc descs[MSG_TYPES] = {PROTO_MESSAGES(DESC)};

static const char *const role_names[ROLES] = {
    [ROLE_PARENT] = "parent", [ROLE_SMTPD] = "smtpd",       [ROLE_AUTHD] = "authd",
    [ROLE_QUEUE] = "queue",   [ROLE_RELAY] = "relay",       [ROLE_MAILBOX] = "mailbox",
    [ROLE_POP3D] = "pop3d",   [ROLE_RESOLVER] = "resolver", [ROLE_KEYD] = "keyd",
    [ROLE_POLICY] = "policy", [ROLE_PAMD] = "pamd",         [ROLE_CLI] = "cli",
};

static const size_t widths[] = {[FIELD_U8] = 1, [FIELD_U16] = 2, [FIELD_U32] = 4, [FIELD_U64] = 8};

const char *role_name(enum role r)
{
    return (unsigned)r < ROLES ? role_names[r] : "unknown";
}

int role_parse(struct span name, enum role *out)
{
    for (unsigned r = 0; r < ROLES; r++)
        if (span_eq(name, span_of(role_names[r]))) {
            *out = (enum role)r;
            return 0;
        }
    return -1;
}

const struct msg_desc *proto_desc(unsigned type)
{
    return type > MSG_NONE && type < MSG_TYPES ? &descs[type] : NULL;
}

/* FNV-1a over everything that two binaries must agree on. */
static uint64_t hash_text(uint64_t h, const char *text)
{
    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211U;
    return (h ^ 0xff) * 1099511628211U;
}

static uint64_t hash_number(uint64_t h, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        h = (h ^ (n >> (8 * i) & 0xff)) * 1099511628211U;
    return h;
}

uint64_t proto_hash(void)
{
    static uint64_t h;
    if (h != 0)
        return h;
    h = 14695981039346656037U;
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES; t++) {
        const struct msg_desc *d = &descs[t];
        h = hash_number(hash_text(h, d->name), (uint64_t)d->from << 32 | d->to);
        for (size_t i = 0; i < d->n_fields; i++) {
            h = hash_text(h, d->fields[i].name);
            h = hash_number(h, (uint64_t)d->fields[i].type << 32 | d->fields[i].max);
        }
    }
    return h;
}

static bool is_span(enum field_type t)
{
    return t == FIELD_TEXT || t == FIELD_BYTES;
}

static uint64_t load_number(const char *at, enum field_type type)
{
    union {
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
    } v = {0};
    memcpy(&v, at, widths[type]);
    return type == FIELD_U8 ? v.u8 : type == FIELD_U16 ? v.u16 : type == FIELD_U32 ? v.u32 : v.u64;
}

static void store_number(char *at, enum field_type type, uint64_t n)
{
    uint8_t u8 = (uint8_t)n;
    uint16_t u16 = (uint16_t)n;
    uint32_t u32 = (uint32_t)n;
    const void *from = type == FIELD_U8    ? (const void *)&u8
                       : type == FIELD_U16 ? (const void *)&u16
                       : type == FIELD_U32 ? (const void *)&u32
                                           : (const void *)&n;
    memcpy(at, from, widths[type]);
}

size_t proto_pack(char *out, size_t cap, enum msg_type type, const void *fields)
{
    const struct msg_desc *d = proto_desc(type);
    if (d == NULL)
        return 0;
    struct packer w = packer_on(out, cap);
    pack_uint(&w, type, 2);
    for (size_t i = 0; i < d->n_fields; i++) {
        const struct field_desc *f = &d->fields[i];
        const char *at = (const char *)fields + f->offset;
        if (!is_span(f->type)) {
            pack_uint(&w, load_number(at, f->type), widths[f->type]);
            continue;
        }
        struct span s;
        memcpy(&s, at, sizeof s);
        if (s.n > f->max)
            return 0;
        pack_bytes(&w, s);
    }
    return w.failed ? 0 : w.n;
}

int proto_unpack(struct span in, enum msg_type *type, union msg *m)
{
    struct unpacker r = unpacker_on(in);
    unsigned t = (unsigned)unpack_uint(&r, 2);
    const struct msg_desc *d = proto_desc(t);
    if (r.failed || d == NULL)
        return -1;
    *m = (union msg){0};
    for (size_t i = 0; i < d->n_fields && !r.failed; i++) {
        const struct field_desc *f = &d->fields[i];
        char *at = (char *)m + f->offset;
        if (!is_span(f->type)) {
            store_number(at, f->type, unpack_uint(&r, widths[f->type]));
            continue;
        }
        struct span s = f->type == FIELD_TEXT ? unpack_text(&r, f->max) : unpack_bytes(&r, f->max);
        memcpy(at, &s, sizeof s);
    }
    *type = (enum msg_type)t;
    return unpack_done(&r) ? 0 : -1;
}
