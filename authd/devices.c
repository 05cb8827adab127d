/* Which devices a box has, told to queue: it keeps a message until each of them has deleted it.
 * What changed stays on the list in users.db until queue has it on disk, over restarts of both. */
#include "authd/authd.h"

#include "common/log.h"
#include "common/pack.h"

#define ANSWER_MS 60000
#define AGAIN_MS  60000

static void answered(void *authd, const union msg *m, int fd)
{
    struct authd *a = authd;
    (void)fd;
    struct device_news told = a->telling;
    a->telling = (struct device_news){0};
    if (m == NULL || a->users == NULL) {
        timer_set(&a->tell_again, AGAIN_MS); /* or sooner, when queue comes back */
        return;
    }
    bool is_told = m->box_devices_re.verdict == VERDICT_OK;
    if (is_told && users_news_told(a->users, &told) < 0) {
        authd_store_failed(a);
        is_told = false;
    }
    if (!is_told) /* that does not stop those behind it */
        a->told_up_to = told.box;
    devices_tell_next(a);
}

static void pack_device(void *arg, const struct app_password *app)
{
    if (!app->is_device)
        return;
    pack_uint(arg, app->credential, 8);
    pack_bytes(arg, app->name);
}

/* What was refused, or changed while others were told, is for the next round. */
static void end_round(struct authd *a)
{
    struct device_news n;
    a->told_up_to = 0;
    if (users_next_news(a->users, 0, &n) == 1)
        timer_set(&a->tell_again, AGAIN_MS);
}

void devices_tell_next(struct authd *a)
{
    static char octets[LIST_MAX];
    struct packer devices = packer_on(octets, sizeof octets);
    struct device_news n;
    struct ipc *queue = proc_peer(a->proc, ROLE_QUEUE);
    if (queue == NULL || a->telling.box != 0 || a->users == NULL)
        return;
    if (users_next_news(a->users, a->told_up_to, &n) != 1) {
        end_round(a);
        return;
    }
    if (users_apps(a->users, n.box, pack_device, &devices) < 0 || devices.failed) {
        timer_set(&a->tell_again, AGAIN_MS);
        return;
    }
    struct msg_box_devices ask = {.box = n.box, .devices = packer_span(&devices)};
    a->telling = n;
    if (ipc_ask_box_devices(queue, &ask, -1, ANSWER_MS, answered, a) == 0)
        a->telling = (struct device_news){0};
}

void devices_tell(void *authd)
{
    struct authd *a = authd;
    a->told_up_to = 0;
    devices_tell_next(a);
}
