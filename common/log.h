/* One line per event: `<process> <id> <event> key=value …`. The parent writes the process name in
 * front, so that no child can forge another's lines. Untrusted text is quoted and escaped here and
 * nowhere else; secrets are never passed in.
 *
 *   LOG(id, "accepted", LS("from", sender), LN("size", octets));
 *
 * Lines are collected and written once per turn of the event loop (log_flush). */
#ifndef BARID_LOG_H
#define BARID_LOG_H

#include "common/str.h"

struct log_field {
    const char *key;
    struct span text; /* used if is_text */
    int64_t number;
    bool is_text;
};

static inline struct log_field LS(const char *key, struct span text) {
    return (struct log_field){.key = key, .text = text, .is_text = true};
} static inline struct log_field LZ(const char *key, const char *c_string) {
    return LS(key, span_of(c_string));
} static inline struct log_field LN(const char *key, int64_t number) {
    return (struct log_field){.key = key, .number = number};
}

/* id 0 is printed as "-". At least one field. */
#define LOG(id, event, ...)                                                                        \
    log_write(id, event, (const struct log_field[]){__VA_ARGS__},                                  \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define LOG0(id, event) log_write(id, event, NULL, 0)

void log_write(uint64_t id, const char *event, const struct log_field *fields, size_t n);
void log_flush(void);
/* What stands in front of every line; a constant. Only the parent has one: "parent ". */
void log_set_prefix(const char *prefix);
/* Where lines go instead of stderr. Only the parent has one: barid/logpipe.h, which never waits. */
void log_set_sink(void (*sink)(struct span lines));
/* Appends text as a log value: bare if it is harmless, else quoted with \xNN escapes. Returns the
 * octets written, at most cap (longer text is cut and marked with …). */
size_t log_escape(char *out, size_t cap, struct span text);

#endif
