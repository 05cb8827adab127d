#include "pop3d/drop.h"

#include <criterion/criterion.h>

Test(drop, numbers_deletion_and_reset)
{
    struct drop d = {0};
    cr_expect_eq(sizeof *d.list, 24);
    cr_expect_eq(drop_add(&d, 3, 103, 10), 0);
    cr_expect_eq(drop_add(&d, 7, 107, 20), 0);
    cr_expect_eq(drop_add(&d, 8, 108, 30), 0);
    cr_expect_eq(drop_last_sequence(&d), 8);
    cr_expect_null(drop_find(&d, 0));
    cr_expect_null(drop_find(&d, 4));
    cr_expect_null(drop_find(&d, UINT64_MAX));
    cr_expect_eq(drop_find(&d, 2)->id, 107);
    cr_expect_eq(d.octets, 60);
    drop_delete(&d, drop_find(&d, 2));
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

Test(drop, refuses_what_no_mailbox_says)
{
    struct drop d = {0};
    cr_expect_eq(drop_add(&d, 0, 1, 10), -1, "sequence 0");
    cr_expect_eq(drop_add(&d, 5, 1, 10), 0);
    cr_expect_eq(drop_add(&d, 5, 2, 10), -1, "twice");
    cr_expect_eq(drop_add(&d, 4, 2, 10), -1, "backwards");
    cr_expect_eq(drop_add(&d, 6, 2, INT64_MAX), -1, "a sum that overflows");
    cr_expect_eq(drop_add(&d, 6, 2, UINT64_MAX), -1);
    cr_expect_eq(d.n, 1);
    drop_free(&d);
}
