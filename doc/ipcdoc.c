/* Writes doc/IPC.md from the table of messages: `make ipc-doc`. */
#include "common/proto.h"

#include <stdio.h>

static const char *const type_names[] = {
    [FIELD_U8] = "u8",   [FIELD_U16] = "u16",   [FIELD_U32] = "u32",
    [FIELD_U64] = "u64", [FIELD_TEXT] = "text", [FIELD_BYTES] = "bytes",
};

static void print_roles(unsigned bits)
{
    if (bits == P_ANY) {
        printf("any");
        return;
    }
    if (bits == P_CHILDREN) {
        printf("every child");
        return;
    }
    const char *comma = "";
    for (unsigned r = 0; r < ROLES; r++)
        if ((bits & 1U << r) != 0) {
            printf("%s%s", comma, role_name((enum role)r));
            comma = ", ";
        }
}

static void print_fields(const struct msg_desc *d)
{
    if (d->n_fields == 0 && !d->has_fd)
        printf("–");
    for (size_t i = 0; i < d->n_fields; i++) {
        const struct field_desc *f = &d->fields[i];
        printf("%s%s %s", i > 0 ? ", " : "", f->name, type_names[f->type]);
        if (f->max > 0)
            printf(" ≤ %zu", f->max);
    }
    if (d->has_fd)
        printf("%sa descriptor", d->n_fields > 0 ? ", " : "");
}

int main(void)
{
    puts("# Messages between processes\n\n"
         "Made from the table in `common/proto.h` by `make ipc-doc`; do not edit. A process can "
         "send\n"
         "only what its column allows; anything else, or a message that does not unpack exactly,\n"
         "closes the channel it came on (`common/ipc.c`). Which channels exist is in\n"
         "`barid/tree.c`. Numbers are little-endian, text and bytes carry a 32-bit length; text\n"
         "holds no NUL, CR or LF. Bounds are in octets.\n\n"
         "| message | from | to | answer | fields | meaning |\n"
         "| --- | --- | --- | --- | --- | --- |");
    for (unsigned t = MSG_NONE + 1; t < MSG_TYPES; t++) {
        const struct msg_desc *d = proto_desc(t);
        printf("| %s | ", d->name);
        print_roles(d->from);
        printf(" | ");
        print_roles(d->to);
        printf(" | %s | ", d->answer != MSG_NONE ? proto_desc(d->answer)->name : "");
        print_fields(d);
        printf(" | %s |\n", d->meaning);
    }
    return 0;
}
