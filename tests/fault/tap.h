/* Test programs that are no Criterion programs print the same lines (TAP), so that ./dev test
 * counts them. They work in a directory of their own, in memory where there is /dev/shm, and keep
 * it if something failed.
 *
 *     PROGRAM [--tap] [--all] [--seed N] [--filter *TEXT*]
 *
 * --all (or BARID_TEST_ALL in the environment): every case instead of a sample. */
#ifndef BARID_TESTS_FAULT_TAP_H
#define BARID_TESTS_FAULT_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program if a filter does not want it. Makes the directory. */
void tap_begin(int argc, char **argv, const char *name, char *dir, size_t cap);
bool tap_is_all(void);
uint64_t tap_seed(void);
int tap_log(void); /* a descriptor for what the processes say */
__attribute__((format(printf, 2, 3))) void tap_ok(bool is_ok, const char *fmt, ...);
/* Parts 0 to n - 1, each in a process of its own, two at a time; each one's lines come together. A
 * part shares nothing with the others but the directory, and may end as a program may. */
void tap_split(size_t n, void (*part)(size_t i));
size_t tap_memory(void);          /* octets of this process that are in memory */
void tap_remove(const char *dir); /* with all that is in it */
int tap_end(void);                /* the exit status */

#endif
