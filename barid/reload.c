/* Reading the configuration at the start and on SIGHUP. A file with mistakes changes nothing. */
#include "barid/parent.h"

#include "common/log.h"

/* An address that the reload before this one dropped is free when the last worker has closed it. */
#define PATIENCE_MS 1000

static void say_problems(const char *path, const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->n; i++)
        logpipe_sayf("%s:%zu: %s%s\n", path, problems->list[i].line,
                     problems->list[i].is_warning ? "warning: " : "", problems->list[i].text);
}

int reload_read(const char *path, char **text, size_t *n, struct config **c)
{
    struct error e;
    struct config_problems problems = {0};
    *c = NULL;
    *text = config_read(path, n, &e);
    if (*text == NULL) {
        logpipe_fail("%s", e.text);
        return -1;
    }
    *c = config_parse((struct span){*text, *n}, path, &problems);
    say_problems(path, &problems);
    config_problems_free(&problems);
    if (*c != NULL)
        return 0;
    free(*text);
    *text = NULL;
    return -1;
}

static void warn_if_changed(const char *key, bool is_changed)
{
    if (is_changed)
        LOG(0, "needs-restart", LZ("setting", key));
}

/* What a running suite cannot change: said, and the old value kept until the next start. */
static void warn_of_fixed(const struct config *old, const struct config *fresh)
{
    warn_if_changed("state_dir", strcmp(old->state_dir, fresh->state_dir) != 0);
    warn_if_changed("run_dir", strcmp(old->run_dir, fresh->run_dir) != 0);
    warn_if_changed("workers", old->workers != fresh->workers);
    warn_if_changed("[pam] service", (old->pam.service == NULL) != (fresh->pam.service == NULL));
}

void reload(struct parent *p)
{
    char *text;
    size_t n;
    struct config *fresh;
    struct bound_list bound;
    struct opened_list files = {0};
    struct error e;
    if (reload_read(p->config_path, &text, &n, &fresh) < 0) {
        LOG(0, "reload-refused", LZ("because", "the configuration has errors; the old one stays"));
        return;
    }
    if (supervise_check(fresh, &e) < 0 || files_open(fresh, &files, &e) < 0 ||
        listen_bind(fresh, &p->bound, PATIENCE_MS, &bound, &e) < 0) {
        LOG(0, "reload-refused", LZ("because", e.text));
        files_close(&files);
        config_free(fresh);
        free(text);
        return;
    }
    warn_of_fixed(p->config, fresh);
    listen_close(&p->bound);
    config_free(p->config);
    free(p->text);
    files_close(&p->files);
    p->files = files;
    p->generation++;
    p->bound = bound;
    p->config = fresh;
    p->text = text;
    p->text_n = n;
    supervise_tell_all(p);
    LOG(0, "reloaded", LZ("file", p->config_path));
}
