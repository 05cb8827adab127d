#include "world.h"

#include "common/id.h"

#include <criterion/criterion.h>

#define CONTENT "Subject: hello\r\n\r\nthere\r\n"
#define KEPT    "[mailbox]\nundelete_for = 1d\n"
#define BOX     7

static struct world w;

static void fill(int n)
{
    for (int i = 0; i < n; i++)
        world_send_local(&w, "", BOX, CONTENT);
    world_pump(&w);
    w.n_answers = 0;
}

/* "retrieved alice@example.org 192.0.2.9 mailbox 7; deleted …", of all messages. */
static void expect_events(const char *events)
{
    char *got = world_text(&w, "SELECT coalesce(group_concat(trim(what || ' ' || address || ' ' ||"
                               " remote) || ' ' || reply, '; '), '')"
                               " FROM (SELECT * FROM event ORDER BY id)");
    cr_expect_str_eq(got, events);
    free(got);
}

Test(chronicle, from_the_mailbox_to_the_end)
{
    static const char *const steps[] = {"retrieved", "deleted", "undeleted", "deleted", "purged"};
    char id[ID_TEXT];
    world_begin(&w, KEPT);
    uint64_t message = world_send_local(&w, "", BOX, CONTENT);
    world_pump(&w);
    world_collected(&w, BOX, 0, (uint64_t[]){1, 0});
    world_collected(&w, BOX, 0, (uint64_t[]){1, 0}); /* not the first time */
    world_delete(&w, BOX, (uint64_t[]){1, 0}, true);
    world_admin(&w, "box undelete", (const char *[]){"7", "0", NULL});
    cr_assert_eq(w.admin_re.verdict, VERDICT_OK);
    world_delete(&w, BOX, (uint64_t[]){1, 0}, true);
    world_pass(&w, 2 * 86400);
    world_pass(&w, 61);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM message"), 0);
    expect_events("retrieved alice@example.org 192.0.2.9 mailbox 7; "
                  "deleted alice@example.org 192.0.2.9 mailbox 7; undeleted mailbox 7; "
                  "deleted alice@example.org 192.0.2.9 mailbox 7; purged mailbox 7");
    id_format(id, message);
    world_admin(&w, "trace", (const char *[]){id, NULL});
    const char *at = strstr(w.rows, "state=gone");
    for (size_t i = 0; i < sizeof steps / sizeof *steps && at != NULL; i++) {
        char word[40];
        snprintf(word, sizeof word, "event=%s", steps[i]);
        at = strstr(at + 1, word);
    }
    cr_expect(at != NULL, "%s", w.rows);
    world_end(&w);
}

Test(chronicle, each_device_is_named)
{
    world_begin(&w, "");
    fill(2);
    world_devices(&w, BOX, (uint64_t[]){11, 12, 0});
    char *name = world_text(&w, "SELECT name FROM device WHERE id = 12");
    char wanted[300];
    world_collected(&w, BOX, 12, (uint64_t[]){2, 0});
    world_collected(&w, BOX, 0, (uint64_t[]){2, 0});
    world_drop(&w, BOX, 12, (uint64_t[]){2, 0}, true);
    world_drop(&w, BOX, 13, (uint64_t[]){1, 0}, true); /* there is none */
    snprintf(wanted, sizeof wanted,
             "retrieved alice@example.org 192.0.2.9 mailbox 7, device %s; "
             "retrieved alice@example.org 192.0.2.9 mailbox 7; "
             "deleted alice@example.org 192.0.2.9 mailbox 7, device %s",
             name, name);
    expect_events(wanted);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 2);
    free(name);
    world_end(&w);
}

/* What is not there, or not said rightly, is not noted; nothing else happens. */
Test(chronicle, nonsense_from_mailbox)
{
    world_begin(&w, "");
    fill(1);
    world_collected(&w, BOX, 0, (uint64_t[]){2, 99, UINT64_MAX, 0});
    world_collected(&w, 0, 0, (uint64_t[]){1, 0});
    world_collected(&w, UINT64_MAX, 0, (uint64_t[]){1, 0});
    world_collected(&w, 8, UINT64_MAX, (uint64_t[]){1, 0});
    struct msg_box_collected cut = {.box = BOX, .sequences = SPAN("1234567"), .more = UINT64_MAX};
    cr_assert_eq(ipc_send_box_collected(w.mailbox, &cut, -1), 0);
    world_pump(&w);
    cr_assert_not_null(w.mailbox);
    expect_events("");
    world_collected(&w, BOX, 5, (uint64_t[]){1, 0}); /* a device that went meanwhile */
    expect_events("retrieved alice@example.org 192.0.2.9 mailbox 7");
    world_end(&w);
}

Test(chronicle, nothing_without_trace)
{
    world_begin(&w, KEPT "[queue]\ntrace = 0s\n");
    fill(1);
    world_collected(&w, BOX, 0, (uint64_t[]){1, 0});
    world_delete(&w, BOX, (uint64_t[]){1, 0}, true);
    world_admin(&w, "box undelete", (const char *[]){"7", "0", NULL});
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM entry"), 1);
    expect_events("");
    world_end(&w);
}

/* Of more than are deleted at once nothing is noted, then or later. */
Test(chronicle, large_deletions_are_left_out)
{
    uint64_t part[91], tag = 0, seq = 1;
    world_begin(&w, KEPT);
    fill(300);
    while (seq <= 300) {
        size_t n = 0;
        while (n < 90 && seq <= 300)
            part[n++] = seq++;
        part[n] = 0;
        if (tag == 0)
            tag = world_delete(&w, BOX, part, false);
        else
            world_delete_more(&w, tag, BOX, part, seq > 300);
    }
    world_pump(&w);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM trash"), 300);
    world_pass(&w, 2 * 86400);
    world_pass(&w, 61);
    world_pass(&w, 61);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM trash"), 0);
    expect_events("");
    world_end(&w);
}

Test(chronicle, what_is_too_old)
{
    world_begin(&w, "[mailbox]\nretention = 1d\n");
    fill(300);
    world_pass(&w, 2 * 86400);
    world_pass(&w, 61);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM entry"), 0);
    int64_t n = world_count(&w, "SELECT count(*) FROM event WHERE what = 'retention'"
                                " AND reply = 'mailbox 7'");
    cr_expect(n >= 256 && n <= 300, "%d", (int)n);
    world_end(&w);
}
