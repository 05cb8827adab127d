/* What the manual pages say about settings and commands, made from their tables: `make man-pages`.
 */
#include "cli/help.h"
#include "cli/output.h"
#include "cli/tables.h"
#include "common/buf.h"

struct page {
    struct buf out;
    char section[300];
    size_t n;
    int rc;
};

/* Text in which nothing means anything to roff. */
static void put_text(struct page *p, const char *text)
{
    if (*text == '.' || *text == '\'')
        p->rc |= buf_addf(&p->out, "\\&");
    for (; *text != '\0'; text++) {
        const char *escape = *text == '-' ? "\\-" : *text == '\\' ? "\\e" : NULL;
        p->rc |= escape != NULL ? buf_addf(&p->out, "%s", escape) : buf_add(&p->out, text, 1);
    }
}

static void put_setting(void *arg, const char *section, const char *key, const char *type,
                        const char *fallback, const char *meaning)
{
    struct page *p = arg;
    if (p->n++ == 0 || strcmp(p->section, section) != 0)
        p->rc |= *section != '\0' ? buf_addf(&p->out, ".SS [%s]\n", section)
                                  : buf_addf(&p->out, ".SS Above the first section\n");
    snprintf(p->section, sizeof p->section, "%s", section);
    p->rc |= buf_addf(&p->out, ".TP\n.B %s\n", key);
    put_text(p, meaning);
    p->rc |= buf_addf(&p->out, "\n.br\nValue: ");
    put_text(p, type);
    p->rc |= buf_addf(&p->out, fallback != NULL ? ". Default: " : ". It must be set");
    put_text(p, fallback != NULL ? fallback : "");
    p->rc |= buf_addf(&p->out, ".\n");
}

static void put_command(struct page *p, const struct command *c)
{
    p->rc |= buf_addf(&p->out, ".TP\n.B barid ");
    put_text(p, c->words);
    p->rc |= buf_addf(&p->out, *c->usage ? " " : "");
    put_text(p, c->usage);
    p->rc |= buf_addf(&p->out, "\n%c", c->summary[0] & ~0x20); /* a letter: in upper case */
    put_text(p, c->summary + 1);
    p->rc |= buf_addf(&p->out, ".\n");
}

int doc_settings_main(struct cli *cli)
{
    struct page p = {.n = 0};
    buf_init(&p.out, SIZE_MAX / 4);
    config_doc(put_setting, &p);
    return output_print(cli, &p.out, p.rc);
}

int doc_commands_main(struct cli *cli)
{
    struct page p = {.n = 0};
    const struct command *c;
    buf_init(&p.out, SIZE_MAX / 4);
    for (size_t i = 0; (c = tables_command(i)) != NULL; i++)
        if (!c->is_hidden)
            put_command(&p, c);
    return output_print(cli, &p.out, p.rc);
}
