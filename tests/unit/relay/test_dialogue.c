#include "relay/dialogue.h"

#include "common/clock.h"

#include <criterion/criterion.h>

static const char *text_of(const struct dialogue *d)
{
    static char room[DIALOGUE_MAX + 1];
    struct span s = dialogue_text(d, room);
    cr_assert_leq(s.n, (size_t)DIALOGUE_MAX);
    cr_assert(s.n == 0 || s.p[s.n - 1] == '\n');
    room[s.n] = '\0';
    return room;
}

Test(dialogue, lines)
{
    struct dialogue d;
    dialogue_begin(&d);
    cr_expect_str_eq(text_of(&d), "");
    clock_fake(1000, 5000);
    dialogue_addf(&d, "connecting to %s", "mx[192.0.2.1]:25");
    clock_fake(1012, 9999);
    dialogue_add(&d, '<', SPAN("220 mx"));
    dialogue_add(&d, '>', SPAN("EHLO us"));
    cr_expect_str_eq(text_of(&d),
                     "0 = connecting to mx[192.0.2.1]:25\n12 < 220 mx\n12 > EHLO us\n");
    cr_expect_eq(d.wall_ms, 5000);
    dialogue_free(&d);
}

Test(dialogue, foreign_octets)
{
    static const char dirty[] = "250 a\0b\nc\r\x1b[2J\x7f\xff\xc3\xa4";
    struct dialogue d;
    dialogue_begin(&d);
    clock_fake(1, 1);
    dialogue_add(&d, '<', (struct span){dirty, sizeof dirty - 1});
    dialogue_add(&d, '<', SPAN(""));
    cr_expect_str_eq(text_of(&d), "0 < 250 a?b?c??[2J????\n0 < \n");
    dialogue_free(&d);
}

Test(dialogue, long_lines_are_cut)
{
    char line[5000];
    struct dialogue d;
    memset(line, 'x', sizeof line);
    for (size_t n = DIALOGUE_WORDS_MAX; n <= DIALOGUE_WORDS_MAX + 1; n++) {
        dialogue_begin(&d);
        dialogue_add(&d, '<', (struct span){line, n});
        const char *text = text_of(&d);
        cr_expect_eq(strstr(text, "x [...]\n") != NULL, n > DIALOGUE_WORDS_MAX);
        cr_expect_eq(strspn(text + 4, "x"), (size_t)DIALOGUE_WORDS_MAX);
        dialogue_free(&d);
    }
    dialogue_begin(&d);
    dialogue_addf(&d, "%.*s", 4000, line);
    cr_expect_not_null(strstr(text_of(&d), "x [...]\n"));
    dialogue_free(&d);
}

/* However much comes, of whatever length: the beginning and the end stay, and nothing between two
 * lines is lost without a word. */
Test(dialogue, bounded)
{
    char line[DIALOGUE_WORDS_MAX * 2];
    memset(line, 'y', sizeof line);
    for (size_t length = 1; length < sizeof line; length += 13) {
        struct dialogue d;
        unsigned n_shown = 0, left_out = 0;
        dialogue_begin(&d);
        clock_fake(1, 1);
        dialogue_add(&d, '=', SPAN("first"));
        clock_fake(INT64_MAX / 2, 1);
        for (int i = 0; i < 3000; i++)
            dialogue_add(&d, '<', (struct span){line, length});
        dialogue_add(&d, '=', SPAN("last"));
        const char *text = text_of(&d), *remark = strstr(text, " lines are left out here\n");
        cr_assert_eq(strncmp(text, "0 = first\n", 10), 0);
        cr_assert_not_null(strstr(text, " = last\n"));
        cr_assert_not_null(remark);
        for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
            n_shown++;
        while (remark[-1] != ' ')
            remark--;
        left_out = (unsigned)strtoul(remark, NULL, 10);
        cr_expect_eq(n_shown - 1 + left_out, 3002U, "%u %u of length %zu", n_shown, left_out,
                     length);
        dialogue_free(&d);
    }
}
