/* The inside of config.h: the table of settings, the types of their values, and the walk over all
 * places where values are kept. Only common/config*.c include this. */
#ifndef BARID_CONFIG_TABLE_H
#define BARID_CONFIG_TABLE_H

#include "common/buf.h"
#include "common/config.h"

enum section_kind {
    SECTION_GLOBAL, /* above the first [section] */
    SECTION_SMTP,
    SECTION_SUBMIT,
    SECTION_AUTH,
    SECTION_LIMITS,
    SECTION_QUEUE,
    SECTION_MAILBOX,
    SECTION_POP3,
    SECTION_RELAY,
    SECTION_DNS,
    SECTION_CONTAINMENT,
    SECTION_PAM,
    SECTION_JAIL,
    SECTION_LISTEN, /* from here on: there can be several */
    SECTION_TLS,
    SECTION_ROUTE,
    SECTION_KINDS
};

enum section_naming { NAME_NONE, NAME_OPTIONAL, NAME_REQUIRED };

struct section_desc {
    const char *word; /* "" for the part above the first section */
    enum section_naming naming;
    const char *name_words; /* what the name is, for people */
};
extern const struct section_desc config_sections[SECTION_KINDS];

enum value_type {
    VALUE_HOST,      /* char *: a domain name */
    VALUE_PATH,      /* char *: an absolute path */
    VALUE_SIZE,      /* uint64_t: octets */
    VALUE_COUNT,     /* uint64_t */
    VALUE_PORT,      /* uint16_t */
    VALUE_DURATION,  /* int64_t: ms; 'none' is DURATION_NONE */
    VALUE_DURATIONS, /* int64_t *, size_t */
    VALUE_RATE,      /* struct rate */
    VALUE_CHOICE,    /* an enum: the place of the word in `words` */
    VALUE_NAME,      /* char *: of a group of this machine, a service of PAM */
    VALUE_LISTEN,    /* struct endpoint *, size_t: address:port or unix:/path */
    VALUE_SERVERS,   /* struct netaddr *, size_t: address@port, port 53 if it is missing */
    VALUE_NETWORKS,  /* struct network *, size_t */
    VALUE_URLS,      /* struct url *, size_t */
    VALUE_TYPES
};

#define DEFAULT_MAX 256

struct setting {
    enum section_kind section;
    const char *key;
    enum value_type type;
    bool or_none;             /* 'none' is allowed */
    bool or_word;             /* VALUE_URLS: 'hold' and 'discard' are allowed */
    size_t offset;            /* of the value in the section's struct */
    size_t offset_n;          /* lists: of the number of entries */
    bool is_delivery;         /* of [relay], in a struct delivery_config: may stand in a [route] */
    uint64_t min, max;        /* of numbers, in the type's unit */
    const char *const *words; /* VALUE_CHOICE; NULL ends them */
    /* The default as it would stand in the file. Both NULL: the setting is required. */
    const char *fallback;
    void (*find_fallback)(char out[DEFAULT_MAX], enum listen_kind kind);
    const char *fallback_words; /* says in the manual what find_fallback finds */
    const char *meaning;
};
extern const struct setting config_settings[];
/* Some of them (config_default.c). */
void config_find_hostname(char out[DEFAULT_MAX], enum listen_kind kind);
void config_find_workers(char out[DEFAULT_MAX], enum listen_kind kind);
void config_find_addresses(char out[DEFAULT_MAX], enum listen_kind kind);
extern const size_t config_n_settings;

/* The setting `key` of a section ([auth] and [limits] count for a listener too, some of [relay] for
 * a route), or NULL. */
const struct setting *config_setting(enum section_kind section, struct span key);
/* May this setting stand in this section? */
bool config_setting_fits(const struct setting *s, enum section_kind section);

/* A place for a value. Lists have *n entries at *(void **)value; for other types n is NULL. */
struct place {
    const struct setting *setting;
    enum section_kind section;
    size_t instance; /* which of c->listens, c->tls, c->routes */
    void *value;
    size_t *n;
    bool is_override; /* a setting of [auth] or [limits] in a listener, of [relay] in a route */
    size_t number;    /* counts places: index into c->lines */
};
/* All places in the order of the table; for sections that there can be several of, one instance
 * after the other. Start with a zeroed struct walk. */
struct walk {
    enum section_kind section;
    size_t instance, row, number;
};
bool walk_next(struct walk *w, struct config *c, struct place *at);
/* The place of a setting in a section (number is not filled in). */
struct place config_place(struct config *c, enum section_kind section, size_t instance,
                          const struct setting *s);
/* Where the global or only setting section/key was set: line, or 0 for the default. */
size_t config_line(const struct config *c, enum section_kind section, const char *key);

/* --- values (config_value.c, config_format.c) --- */

struct value_unit {
    const char *word;
    uint64_t factor;
};
/* The largest first; a NULL word ends them. */
extern const struct value_unit value_durations[];
extern const struct value_unit value_sizes[];

/* Reads text into the place. 0, or -1: e says what is wrong with the value, without naming the key;
 * the place stays empty. */
int value_parse(const struct place *at, struct span text, struct error *e);
/* Appends the value as it would stand in the file. 0, or -1 without memory. */
int value_format(const struct place *at, struct buf *out);
/* The same for a number of this type. */
int value_format_number(struct buf *out, enum value_type type, uint64_t v);
/* Copies from a place of the same setting: numbers and lists of durations. -1 without memory. */
int value_copy(const struct place *to, const struct place *from);
void value_release(const struct place *at);
/* Type and range in words, for the manual: "duration from 1s to 1d, or none". */
int value_describe(const struct setting *s, struct buf *out);

/* --- checks of the whole (config_check.c) --- */
void config_check(const struct config *c, struct config_problems *problems);

#endif
