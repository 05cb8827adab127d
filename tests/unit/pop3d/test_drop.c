#include "pop3d/drop.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct listing_entry three[] = {
    {3, 103, 10, 0, 0}, {7, 107, 20, 0, 5}, {8, 108, 30, 5, 1}};

static int file_of(const struct listing_entry *list, size_t n, struct span text)
{
    int fd = listing_create();
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, list, n * sizeof *list), (ssize_t)(n * sizeof *list));
    cr_assert_eq(write(fd, text.p, text.n), (ssize_t)text.n);
    return fd;
}

static int open_with(struct drop *d, const struct listing_entry *list, size_t n, struct span text)
{
    int fd = file_of(list, n, text);
    cr_assert_eq(listing_seal(fd), 0);
    int rc = drop_open(d, fd, n, text.n);
    close(fd);
    return rc;
}

Test(drop, numbers_deletion_and_reset)
{
    struct drop d = {0};
    char room[ID_TEXT];
    cr_assert_eq(open_with(&d, three, 3, SPAN("uid-2X")), 0);
    cr_expect_eq(d.n, 3);
    cr_expect_null(drop_find(&d, 0));
    cr_expect_null(drop_find(&d, 4));
    cr_expect_null(drop_find(&d, UINT64_MAX));
    cr_expect_eq(drop_find(&d, 2)->id, 107);
    cr_expect(span_eq(listing_uidl(&d.listing, drop_find(&d, 1), room), SPAN("0000000000037")));
    cr_expect(span_eq(listing_uidl(&d.listing, drop_find(&d, 2), room), SPAN("uid-2")));
    cr_expect(span_eq(listing_uidl(&d.listing, drop_find(&d, 3), room), SPAN("X")));
    cr_expect_eq(d.octets, 60);
    cr_expect_eq(drop_delete(&d, 2), 0);
    cr_expect_eq(drop_delete(&d, 2), 0, "twice is once");
    cr_expect_eq(drop_delete(&d, 99), 0);
    cr_expect_null(drop_find(&d, 2));
    cr_expect(drop_has_deleted(&d, 2));
    cr_expect(!drop_has_deleted(&d, 0));
    cr_expect(!drop_has_deleted(&d, 9));
    cr_expect_eq(d.octets, 40);
    cr_expect_eq(d.n_deleted, 1);
    drop_reset(&d);
    cr_expect_eq(d.octets, 60);
    cr_expect_eq(d.n_deleted, 0);
    cr_expect_eq(drop_find(&d, 2)->octets, 20);
    drop_free(&d);
    cr_expect_null(drop_find(&d, 1));
}

Test(drop, an_empty_mailbox_has_no_file)
{
    struct drop d = {0};
    cr_expect_eq(drop_open(&d, -1, 0, 0), 0);
    cr_expect_eq(d.n, 0);
    cr_expect_eq(drop_open(&d, -1, 1, 0), -1);
    cr_expect_eq(drop_open(&d, -1, 0, 1), -1);
    drop_free(&d);
}

/* What a mailbox that was taken over could say. */
static const struct {
    const char *what;
    struct listing_entry list[2];
} wrong[] = {
    {"sequence 0", {{0, 1, 10, 0, 0}, {5, 1, 10, 0, 0}}},
    {"twice", {{5, 1, 10, 0, 0}, {5, 2, 10, 0, 0}}},
    {"backwards", {{5, 1, 10, 0, 0}, {4, 2, 10, 0, 0}}},
    {"a sequence that is no number of SQLite", {{5, 1, 10, 0, 0}, {UINT64_MAX, 2, 10, 0, 0}}},
    {"no id", {{5, 0, 10, 0, 0}, {6, 2, 10, 0, 0}}},
    {"no octets", {{5, 1, 0, 0, 0}, {6, 2, 10, 0, 0}}},
    {"a sum that overflows", {{5, 1, 10, 0, 0}, {6, 2, INT64_MAX, 0, 0}}},
    {"a UIDL behind the end", {{5, 1, 10, 0, 0}, {6, 2, 10, 3, 2}}},
    {"a UIDL that begins behind the end", {{5, 1, 10, 0, 0}, {6, 2, 10, UINT32_MAX, 2}}},
    {"a UIDL that is too long", {{5, 1, 10, 0, 0}, {6, 2, 10, 0, UINT32_MAX}}},
    {"a UIDL with a space", {{5, 1, 10, 0, 0}, {6, 2, 10, 0, 4}}},
};

Test(drop, refuses_what_no_mailbox_says)
{
    struct drop d = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(open_with(&d, wrong[i].list, 2, SPAN("a bc")), -1, "%s", wrong[i].what);
        cr_expect_eq(d.n, 0);
    }
    cr_expect_eq(open_with(&d, three, 3, SPAN("uid-2X")), 0);
    drop_free(&d);
}

Test(drop, refuses_files_that_can_change)
{
    struct drop d = {0};
    int fd = file_of(three, 3, SPAN("uid-2X"));
    cr_expect_eq(drop_open(&d, fd, 3, 6), -1, "no seal");
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    cr_expect_eq(drop_open(&d, fd, 3, 6), -1, "may be written");
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    cr_expect_eq(drop_open(&d, fd, 3, 5), -1, "another size");
    cr_expect_eq(drop_open(&d, fd, LISTING_MAX + 1, 6), -1, "too many");
    cr_expect_eq(drop_open(&d, fd, UINT64_MAX / 32, 6), -1);
    cr_expect_eq(drop_open(&d, fd, 3, 6), 0);
    drop_free(&d);
    close(fd);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_expect_eq(drop_open(&d, fd, 3, 6), -1, "no file");
    close(fd);
}
