/* "Could not": functions that fail return -1 (or NULL) and fill in one of these. The text says what
 * failed, why, and where it helps what to do; it never holds a secret. */
#ifndef BARID_ERROR_H
#define BARID_ERROR_H

struct error {
    char text[400];
};

/* Always returns -1, so that a failing function can end with `return error_set(...)`. */
int error_set(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
