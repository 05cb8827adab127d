/* Files that only root may read (private keys) or that a jailed child cannot reach (certificates):
 * opened here, read there. */
#include "barid/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define P_TLS_SERVERS (P_SMTPD | P_POP3D)
static const unsigned readers[FILE_KINDS] = {
    [FILE_CERTIFICATE] = P_TLS_SERVERS, [FILE_KEY] = P_KEYD,     [FILE_CLIENT_CA] = P_TLS_SERVERS,
    [FILE_TRUST] = P_RELAY | P_POLICY,  [FILE_SECRET] = P_RELAY, [FILE_RECIPIENTS] = P_QUEUE,
};

#define FILES_PER_SECTION 3

/* Not blocking: the name may be a pipe's that nobody writes to. */
static void open_one(struct opened_list *l, enum file_kind kind, size_t section, const char *path)
{
    struct opened *o = &l->list[l->n++];
    struct stat st;
    *o = (struct opened){.kind = kind, .section = (uint16_t)section};
    o->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (o->fd < 0) {
        snprintf(o->why, sizeof o->why, "cannot open %.200s: %s", path, strerror(errno));
    } else if (fstat(o->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        snprintf(o->why, sizeof o->why, "%.200s is not a file", path);
        close(o->fd);
        o->fd = -1;
    }
}

static void open_secrets(struct opened_list *l, const struct config *c)
{
    if (c->relay.smarthost_secret != NULL)
        open_one(l, FILE_SECRET, 0, c->relay.smarthost_secret);
    for (size_t i = 0; i < c->n_routes && i < UINT16_MAX; i++)
        if (c->routes[i].smarthost_secret != NULL)
            open_one(l, FILE_SECRET, i + 1, c->routes[i].smarthost_secret);
}

static void open_recipients(struct opened_list *l, const struct config *c)
{
    for (size_t i = 0; i < c->n_routes && i < UINT16_MAX; i++)
        if (c->routes[i].recipients != NULL)
            open_one(l, FILE_RECIPIENTS, i + 1, c->routes[i].recipients);
}

int files_open(const struct config *c, struct opened_list *out, struct error *e)
{
    *out = (struct opened_list){
        .list = alloc_array(c->n_tls * FILES_PER_SECTION + 2 * c->n_routes + 2, sizeof *out->list)};
    if (out->list == NULL)
        return error_set(e, "out of memory");
    for (size_t i = 0; i < c->n_tls; i++) {
        open_one(out, FILE_CERTIFICATE, i, c->tls[i].certificate);
        open_one(out, FILE_KEY, i, c->tls[i].key);
        if (c->tls[i].client_ca != NULL)
            open_one(out, FILE_CLIENT_CA, i, c->tls[i].client_ca);
    }
    open_one(out, FILE_TRUST, 0, c->relay.ca_file);
    open_secrets(out, c);
    open_recipients(out, c);
    return 0;
}

void files_close(struct opened_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->list[i].fd >= 0)
            close(l->list[i].fd);
    free(l->list);
    *l = (struct opened_list){0};
}

void files_hand_over(const struct opened_list *l, enum role to, struct ipc *control)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct opened *o = &l->list[i];
        if ((readers[o->kind] & 1U << to) == 0)
            continue;
        struct msg_child_file m = {
            .kind = (uint8_t)o->kind, .section = o->section, .why = span_of(o->why)};
        ipc_send_child_file(control, &m, o->fd);
    }
}
