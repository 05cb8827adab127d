#include "cli/hold.h"

#include <criterion/criterion.h>
#include <string.h>

#define WORDS_MAX 20

/* What a line of words means: "mode from name flags rcpts", or "" if it is refused. */
static const struct row {
    const char *line, *meaning;
} rows[] = {
    {"", "0 - - - :"},
    {"a@b c@d", "0 - - - : a@b c@d"},
    {"-t -i", "0 - - ti :"},
    {"-ti", "0 - - ti :"},
    {"-oi -f x@y a@b", "0 x@y - i : a@b"},
    {"-fx@y -FJoe a@b", "0 x@y Joe - : a@b"},
    {"-r x@y -- -a@b -t", "0 x@y - - : -a@b -t"},
    {"a@b -t", "0 - - t : a@b"},
    {"-FCronDaemon -i -B8BITMIME -oem root", "0 - CronDaemon i : root"},
    {"-FCronDaemon -odi -oem -oi -t -f root", "0 root CronDaemon ti :"},
    {"-bm -v -om -oep -Am a@b", "0 - - v : a@b"},
    {"-O IgnoreDots=True -O DeliveryMode=b a", "0 - - i : a"},
    {"-O IgnoreDots=no a", "0 - - - : a"},
    {"-N success,failure -R hdrs -V id a", "0 - - - : a"},
    {"-G -U -L tag -p x -h 5 -n -m -E -d9 a", "0 - - - : a"},
    {"-", "0 - - - : -"},
    {"-bs", "1 - - - :"},
    {"-bp", "2 - - - :"},
    {"-bi", "3 - - - :"},
    {"-I", "3 - - - :"},
    {"-q", "4 - - - :"},
    {"-q30m", "4 - - - :"},
    {"-qRexample.org", "4 - - - :"},
    {"-q_x", ""},
    {"-bv a@b", ""},
    {"-bd", ""},
    {"-bt", ""},
    {"-bz", ""},
    {"-C /tmp/x a@b", ""},
    {"-X /tmp/x a@b", ""},
    {"-tC/tmp/x", ""},
    {"-z", ""},
    {"-tz", ""},
    {"-f", ""},
    {"-F", ""},
    {"--help", ""},
    {"--config x a@b", ""},
};

static void put(char *out, size_t cap, const char *text)
{
    size_t n = strlen(out);
    snprintf(out + n, cap - n, "%s", text);
}

static void describe(const struct sendmail *s, char *out, size_t cap)
{
    snprintf(out, cap, "%d %s %s ", (int)s->mode, s->from ? s->from : "-",
             s->full_name ? s->full_name : "-");
    bool has_flag = s->reads_rcpts || s->ignores_dots || s->is_verbose;
    put(out, cap, s->reads_rcpts ? "t" : "");
    put(out, cap, s->ignores_dots ? "i" : "");
    put(out, cap, s->is_verbose ? "v" : "");
    put(out, cap, has_flag ? " :" : "- :");
    for (size_t i = 0; i < s->n_rcpts; i++) {
        put(out, cap, " ");
        put(out, cap, s->rcpts[i]);
    }
}

static int split(char *line, char **words)
{
    static char program[] = "sendmail";
    int n = 1;
    words[0] = program;
    for (char *at = line; *at != '\0' && n < WORDS_MAX;) {
        words[n++] = at;
        at += strcspn(at, " ");
        if (*at == ' ')
            *at++ = '\0';
    }
    return n;
}

Test(sendmail_args, table)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sendmail s = {.program = "sendmail"};
        struct error e;
        char line[200], *words[WORDS_MAX], meaning[400] = "";
        snprintf(line, sizeof line, "%s", rows[i].line);
        if (sendmail_args(&s, split(line, words), words, &e) == 0)
            describe(&s, meaning, sizeof meaning);
        cr_expect_str_eq(meaning, rows[i].meaning, "%s: %s", rows[i].line, meaning);
    }
}

/* When it was 2026-11-22T00:00:00Z, and the server offers an hour: what is said to it. */
Test(sendmail_args, send_later)
{
    static const struct {
        const char *line, *said;
    } held[] = {
        {"a@b", ""},
        {"--hold-for 90s a@b", " HOLDFOR=90"},
        {"a@b --hold-for=1h", " HOLDFOR=3600"},
        {"--hold-for=61m a@b", "too long"},
        {"--hold-for=0s a@b", "wrong"},
        {"--hold-for=-1s a@b", "wrong"},
        {"--hold-for=20000d a@b", "wrong"},
        {"--hold-for=10 a@b", "wrong"},
        {"--hold-for= a@b", "wrong"},
        {"--hold-for", "wrong"},
        {"--hold-forever=1h", "wrong"},
        {"--hold-for=1h -bs", "wrong"},
        {"--hold-for=1h -q", "wrong"},
        {"--hold-for=1h --hold-until=2026-11-22T00:30:00Z a@b", "wrong"},
        {"--hold-until 2026-11-22T00:30:00Z a@b", " HOLDUNTIL=2026-11-22T00:30:00Z"},
        {"--hold-until=2026-11-22T01:30:00+01:00 a@b", " HOLDUNTIL=2026-11-22T00:30:00Z"},
        {"--hold-until=2026-11-21T23:30:00-01:00 a@b", " HOLDUNTIL=2026-11-22T00:30:00Z"},
        {"--hold-until=2026-11-22T01:00:01Z a@b", "too long"},
        {"--hold-until=2026-11-23 a@b", "too long"},
        {"--hold-until=2026-11-22 a@b", "wrong"},
        {"--hold-until=2026-02-30T00:00:00Z a@b", "wrong"},
        {"--hold-until=2026-11-22T00:30:00 a@b", "wrong"},
        {"--hold-until=1h a@b", "wrong"},
        {"-- --hold-for", ""},
    };
    static const int64_t now_s = 1795305600;
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        struct sendmail s = {.program = "sendmail"};
        struct error e;
        char line[200], *words[WORDS_MAX], said[HOLD_PARAM_MAX] = "wrong";
        snprintf(line, sizeof line, "%s", held[i].line);
        bool is_good = sendmail_args(&s, split(line, words), words, &e) == 0 &&
                       hold_from_args(&s, now_s, &e) == 0;
        if (is_good && hold_param(&s.hold, 3600, now_s, said, &e) < 0)
            snprintf(said, sizeof said, "too long");
        cr_expect_str_eq(said, held[i].said, "%s: %s", held[i].line, said);
    }
}

Test(sendmail_args, config_is_for_barid_send)
{
    static const char *const lines[] = {"a@b --config F", "--config=F a@b -t"};
    for (size_t i = 0; i < 2; i++) {
        struct sendmail s = {.takes_config = true};
        struct error e;
        char line[100], *words[WORDS_MAX];
        snprintf(line, sizeof line, "%s", lines[i]);
        cr_assert_eq(sendmail_args(&s, split(line, words), words, &e), 0);
        cr_expect_str_eq(s.config_given, "F");
        cr_expect_eq(s.n_rcpts, 1);
        cr_expect_str_eq(s.rcpts[0], "a@b");
    }
}
