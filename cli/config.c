/* `barid config show [KEY]`. */
#include "cli/cli.h"

#include "cli/output.h"
#include "cli/text.h"
#include "common/json.h"
#include "common/near.h"

struct showing {
    struct cli *cli;
    struct buf out;
    struct span key; /* NULL pointer: all */
    char section[300];
    size_t n;
    int rc;
    struct near near;
};

/* "retry", or with its section "relay.retry". */
static bool is_wanted(struct showing *s, const char *section, const char *key)
{
    size_t n = strlen(section);
    near_offer(&s->near, key);
    if (s->key.p == NULL || span_eq(s->key, span_of(key)))
        return true;
    return n > 0 && s->key.n > n && s->key.p[n] == '.' &&
           span_eq((struct span){s->key.p, n}, span_of(section)) &&
           span_eq(span_from(s->key, n + 1), span_of(key));
}

static void show_json(void *arg, const char *section, const char *key, const char *value,
                      size_t line)
{
    struct showing *s = arg;
    if (!is_wanted(s, section, key))
        return;
    s->rc |= buf_addf(&s->out, "%s{\"section\": ", s->n++ > 0 ? ",\n " : "[");
    s->rc |= json_string(&s->out, span_of(section));
    s->rc |= buf_addf(&s->out, ", \"key\": \"%s\", \"value\": ", key);
    s->rc |= json_string(&s->out, span_of(value));
    s->rc |= line > 0 ? buf_addf(&s->out, ", \"line\": %zu}", line)
                      : buf_addf(&s->out, ", \"line\": null}");
}

/* As a file that could be used again, with where each value comes from behind it. */
static void show_text(void *arg, const char *section, const char *key, const char *value,
                      size_t line)
{
    struct showing *s = arg;
    if (!is_wanted(s, section, key))
        return;
    if (strcmp(s->section, section) != 0)
        s->rc |= buf_addf(&s->out, "%s[%s]\n", s->n > 0 ? "\n" : "", section);
    snprintf(s->section, sizeof s->section, "%s", section);
    s->n++;
    s->rc |= buf_addf(&s->out, "%s = ", key);
    s->rc |= text_terminal(&s->out, span_of(value));
    s->rc |=
        line > 0 ? buf_addf(&s->out, "  # line %zu\n", line) : buf_addf(&s->out, "  # default\n");
}

int config_show_main(struct cli *cli)
{
    struct error e;
    struct showing s = {.cli = cli, .key = cli->n_args > 0 ? cli->args[0] : (struct span){NULL, 0}};
    buf_init(&s.out, SIZE_MAX / 4);
    near_begin(&s.near, s.key);
    if (cli_load(cli, &e) < 0)
        return cli_fail(cli, "%s", e.text);
    config_show(cli->config, cli->is_json ? show_json : show_text, &s);
    if (s.n == 0) {
        buf_free(&s.out);
        return cli_fail(cli, "there is no setting '%.60s'%s%s%s", s.key.p,
                        s.near.best ? ": did you mean '" : ": see barid.conf(5)",
                        s.near.best ? s.near.best : "", s.near.best ? "'?" : "");
    }
    if (cli->is_json)
        s.rc |= buf_add(&s.out, "]\n", 2);
    return output_print(cli, &s.out, s.rc);
}
