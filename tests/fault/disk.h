/* What a disk could hold after a power cut, computed from a trace. Only what was synced is certain:
 * of a file's octets those written before its last fsync, of a directory's names those before the
 * directory's. The rest survives or not, by chance, per sector of 4 KiB and per name. */
#ifndef BARID_TESTS_FAULT_DISK_H
#define BARID_TESTS_FAULT_DISK_H

#include "tests/fault/trace.h"

#include <stdbool.h>

enum survival {
    SURVIVES_NOTHING, /* that was not synced */
    SURVIVES_CHANCE,
    SURVIVES_ALL,
    SURVIVALS
};

struct disk;

/* `root`: the directory that counts; names outside of it are ignored. Inside a jail it is "/". */
struct disk *disk_new(const char *root);
void disk_free(struct disk *d);
void disk_apply(struct disk *d, const struct trace_record *r, const char *octets);
/* The process is another one now: its descriptors are closed. */
void disk_new_process(struct disk *d);
/* Makes the files of a crash at this moment in `dir`, which exists and is empty. */
void disk_crash(const struct disk *d, const char *dir, enum survival s);

/* Chance that can be repeated. */
void chance_begin(uint64_t seed);
uint64_t chance(uint64_t below);

#endif
