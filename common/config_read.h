/* Between reading the lines of a configuration (config.c) and filling in its values
 * (config_build.c). */
#ifndef BARID_CONFIG_READ_H
#define BARID_CONFIG_READ_H

#include "common/config_table.h"

struct assignment {
    const struct setting *setting;
    struct span value; /* points into the text */
    size_t line;
};

struct section {
    enum section_kind kind;
    enum listen_kind listen; /* of SECTION_LISTEN */
    struct span name;
    size_t line;
    size_t first, n; /* its assignments */
};

struct reader {
    struct config_problems *problems;
    struct section
        *sections; /* after reading: sorted by kind, then as they are kept in the config */
    size_t n_sections, sections_cap;
    size_t first[SECTION_KINDS], count[SECTION_KINDS]; /* of sections of each kind, after sorting */
    struct assignment *list;
    size_t n, cap;
    bool is_in_section; /* false below a header that was refused: its keys are passed over */
    bool is_out_of_memory;
};

/* Fills in everything: values, defaults, copies. Problems go to r->problems; -1 only without
 * memory. */
int config_build(struct config *c, struct reader *r);

#endif
