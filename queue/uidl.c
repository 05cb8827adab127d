#include "queue/uidl.h"

#include "common/id.h"

#define TRIES 8 /* ids are never given twice; one that an import brought is rarer still */

/* Exactly as we write it: others are texts like any other. */
static bool is_id(struct span text, uint64_t *id)
{
    char again[ID_TEXT];
    if (id_parse(text, id) < 0)
        return false;
    id_format(again, *id);
    return span_eq(text, span_of(again));
}

enum found uidl_is_free(struct store *s, uint64_t box, uint64_t message, struct span wanted)
{
    struct box_state b;
    uint64_t id;
    enum found used = store_uidl_look(s, box, wanted);
    if (used != FOUND_NONE)
        return used == FOUND_YES ? FOUND_NONE : FOUND_FAULT;
    if (!is_id(wanted, &id))
        return FOUND_YES;
    if (store_box_look(s, box, &b) == FOUND_FAULT)
        return FOUND_FAULT;
    uint64_t first = b.seq == 1 ? message : b.first_id;
    return id < first ? FOUND_YES : FOUND_NONE;
}

int uidl_note(struct store *s, uint64_t box, struct span taken)
{
    uint64_t id;
    return is_id(taken, &id) ? store_box_take_id(s, box, id) : 0;
}

int uidl_for(struct store *s, const struct box_target *b, uint64_t message, char out[ID_TEXT])
{
    out[0] = '\0';
    if (message > b->before.taken_id)
        return 0;
    id_format(out, message);
    enum found used = store_uidl_look(s, b->box, span_of(out));
    if (used == FOUND_NONE)
        out[0] = '\0';
    for (int i = 0; i < TRIES && used == FOUND_YES; i++) {
        id_format(out, id_new());
        used = store_uidl_look(s, b->box, span_of(out));
    }
    return used == FOUND_NONE ? 0 : -1;
}
