#include "relay/secret.h"

#include "common/log.h"
#include "relay/login.h"

#include <sodium.h>

static void release(struct secrets *s)
{
    for (size_t i = 0; s->list != NULL && i < s->n; i++)
        if (s->list[i] != NULL) {
            sodium_memzero(s->list[i], strlen(s->list[i]));
            free(s->list[i]);
        }
    free(s->list);
    *s = (struct secrets){0};
}

struct span secrets_line(struct span text)
{
    struct span rest = text;
    struct span line = span_cut(&rest, '\n');
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n > LOGIN_SECRET_MAX || (line.n > 0 && memchr(line.p, '\0', line.n) != NULL))
        return SPAN("");
    return line;
}

static char *read_one(struct proc *p, const char *path, size_t section)
{
    struct error e;
    size_t n;
    char *text = proc_read_file(p, FILE_SECRET, section, &n, &e), *secret = NULL;
    if (text == NULL) {
        LOG(0, "no-smarthost-secret", LZ("because", e.text));
        return NULL;
    }
    struct span line = secrets_line((struct span){text, n});
    if (line.n > 0)
        secret = span_dup(line);
    else
        LOG(0, "no-smarthost-secret", LZ("file", path),
            LZ("because", "its first line is no password of 1 to 512 octets"));
    sodium_memzero(text, n);
    free(text);
    return secret;
}

void secrets_read(struct secrets *s, struct proc *p)
{
    const struct config *c = proc_config(p);
    release(s);
    s->list = alloc_array(c->n_routes + 1, sizeof *s->list);
    s->n = s->list != NULL ? c->n_routes + 1 : 0;
    if (s->n > 0 && c->relay.smarthost_secret != NULL)
        s->list[0] = read_one(p, c->relay.smarthost_secret, 0);
    for (size_t i = 0; i + 1 < s->n; i++)
        if (c->routes[i].smarthost_secret != NULL)
            s->list[i + 1] = read_one(p, c->routes[i].smarthost_secret, i + 1);
}

struct span secrets_get(const struct secrets *s, size_t section)
{
    return section < s->n && s->list[section] != NULL ? span_of(s->list[section]) : SPAN("");
}
