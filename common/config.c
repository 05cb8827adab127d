#include "common/config.h"

#include "common/addr.h"
#include "common/config_read.h"
#include "common/near.h"
#include "common/route.h"

#include <errno.h>
#include <fcntl.h>

#define CONFIG_TEXT_MAX (1U << 20)
#define CONFIG_READ_MAX (CONFIG_TEXT_MAX + 1024) /* with what config_child_text adds */

/* How many octets of the file to repeat in a message. */
static int shown(struct span text)
{
    return text.n > 60 ? 60 : (int)text.n;
}

#define PROBLEM(r, line, ...) config_problem_add((r)->problems, line, false, __VA_ARGS__)

/* --- sections --- */

static void push_section(struct reader *r, const struct section *s)
{
    r->is_in_section = array_reserve((void **)&r->sections, &r->sections_cap, r->n_sections + 1,
                                     sizeof *r->sections) == 0;
    if (r->is_in_section)
        r->sections[r->n_sections++] = *s;
    else
        r->is_out_of_memory = true;
}

static void unknown_section(struct reader *r, struct span word, size_t line)
{
    struct near near;
    near_begin(&near, word);
    for (size_t k = SECTION_GLOBAL + 1; k < SECTION_KINDS; k++)
        near_offer(&near, config_sections[k].word);
    PROBLEM(r, line, "unknown section [%.*s]%s%s%s", shown(word), word.p,
            near.best ? ": did you mean [" : ": see barid.conf(5)", near.best ? near.best : "",
            near.best ? "]?" : "");
}

static bool check_listen(struct reader *r, struct section *s)
{
    struct near near;
    near_begin(&near, s->name);
    for (unsigned k = 0; k < LISTEN_SUBMIT; k++) {
        s->listen = (enum listen_kind)k;
        if (span_eq(s->name, span_of(listen_kind_name(s->listen))))
            return true;
        near_offer(&near, listen_kind_name(s->listen));
    }
    PROBLEM(r, s->line, "unknown kind of listener '%.*s'%s%s%s", shown(s->name), s->name.p,
            near.best ? ": did you mean '" : ": use smtp or pop3", near.best ? near.best : "",
            near.best ? "'?" : "");
    return false;
}

static bool check_name(struct reader *r, struct section *s)
{
    const struct section_desc *d = &config_sections[s->kind];
    if (d->naming == NAME_NONE && s->name.n > 0) {
        PROBLEM(r, s->line, "[%s] takes no name: remove '%.*s'", d->word, shown(s->name),
                s->name.p);
        return false;
    }
    if (d->naming == NAME_REQUIRED && s->name.n == 0) {
        PROBLEM(r, s->line, "[%s] needs a name: %s", d->word, d->name_words);
        return false;
    }
    if (s->kind == SECTION_ROUTE && !route_is_name(s->name)) {
        PROBLEM(r, s->line, "'%.*s' is not a domain, .domain, sender:address or sender:@domain",
                shown(s->name), s->name.p);
        return false;
    }
    return s->kind != SECTION_LISTEN || check_listen(r, s);
}

/* Sections that there is only one of. (Those with names are compared when they are sorted.) */
static bool check_single(struct reader *r, const struct section *s)
{
    if (s->kind >= SECTION_LISTEN)
        return true;
    for (size_t i = 0; i < r->n_sections; i++)
        if (r->sections[i].kind == s->kind) {
            PROBLEM(r, s->line, "[%s] stands twice (first on line %zu): put its settings together",
                    config_sections[s->kind].word, r->sections[i].line);
            return false;
        }
    return true;
}

static void open_section(struct reader *r, struct span text, size_t line)
{
    r->is_in_section = false;
    if (text.p[text.n - 1] != ']') {
        PROBLEM(r, line, "a section must stand alone on its line and end with ']'");
        return;
    }
    struct span name = span_trim((struct span){text.p + 1, text.n - 2});
    size_t letters = 0;
    while (letters < name.n && name.p[letters] != ' ' && name.p[letters] != '\t')
        letters++;
    struct span word = {name.p, letters};
    struct section s = {.line = line, .first = r->n, .name = span_trim(span_from(name, letters))};
    for (s.kind = SECTION_GLOBAL + 1; s.kind < SECTION_KINDS; s.kind++)
        if (span_eq(word, span_of(config_sections[s.kind].word)))
            break;
    if (s.kind == SECTION_KINDS)
        unknown_section(r, word, line);
    else if (check_name(r, &s) && check_single(r, &s))
        push_section(r, &s);
}

/* --- settings --- */

static const char *section_words(enum section_kind kind)
{
    return kind == SECTION_GLOBAL ? "above the first section" : config_sections[kind].word;
}

static void unknown_setting(struct reader *r, struct span key, size_t line)
{
    enum section_kind here = r->sections[r->n_sections - 1].kind;
    struct near near;
    near_begin(&near, key);
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct setting *s = &config_settings[i];
        if (span_eq(key, span_of(s->key))) {
            bool is_global = s->section == SECTION_GLOBAL;
            PROBLEM(r, line, "'%s' belongs %s%s%s", s->key, is_global ? "" : "into [",
                    section_words(s->section), is_global ? "" : "]");
            return;
        }
        if (config_setting_fits(s, here))
            near_offer(&near, s->key);
    }
    for (size_t i = 0; near.best == NULL && i < config_n_settings; i++)
        near_offer(&near, config_settings[i].key);
    PROBLEM(r, line, "unknown setting '%.*s'%s%s%s", shown(key), key.p,
            near.best ? ": did you mean '" : ": see barid.conf(5)", near.best ? near.best : "",
            near.best ? "'?" : "");
}

static bool is_set_twice(struct reader *r, const struct section *in, const struct assignment *a)
{
    for (size_t i = in->first; i < in->first + in->n; i++)
        if (r->list[i].setting == a->setting) {
            PROBLEM(r, a->line, "'%s' is set twice (first on line %zu): keep one", a->setting->key,
                    r->list[i].line);
            return true;
        }
    return false;
}

static void assign(struct reader *r, struct span text, size_t line)
{
    struct span value = text;
    struct span key = span_trim(span_cut(&value, '='));
    if (value.p == NULL || key.n == 0) {
        PROBLEM(r, line, "'%.*s' is neither 'key = value' nor '[section]' nor '# comment'",
                shown(text), text.p);
        return;
    }
    if (!r->is_in_section)
        return;
    struct section *in = &r->sections[r->n_sections - 1];
    struct assignment a = {config_setting(in->kind, key), span_trim(value), line};
    if (a.setting == NULL)
        unknown_setting(r, key, line);
    else if (a.value.n == 0)
        PROBLEM(r, line, "%s: a value is missing", a.setting->key);
    else if (!is_set_twice(r, in, &a)) {
        if (array_reserve((void **)&r->list, &r->cap, r->n + 1, sizeof *r->list) < 0) {
            r->is_out_of_memory = true;
            return;
        }
        r->list[r->n++] = a;
        in->n++;
    }
}

/* --- lines --- */

/* Up to a '#' that starts the line or follows white space. */
static struct span without_comment(struct span line)
{
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] == '#' && (i == 0 || line.p[i - 1] == ' ' || line.p[i - 1] == '\t'))
            return (struct span){line.p, i};
    return line;
}

static bool has_control(struct reader *r, struct span line, size_t number)
{
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if ((c < 32 && c != '\t') || c == 127) {
            PROBLEM(r, number, "a control character (octet 0x%02x): is this a text file?", c);
            return true;
        }
    }
    return false;
}

static void read_line(struct reader *r, struct span line, size_t number)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    line = without_comment(line);
    if (has_control(r, line, number))
        return;
    line = span_trim(line);
    if (line.n == 0)
        return;
    if (line.p[0] == '[')
        open_section(r, line, number);
    else
        assign(r, line, number);
}

static void read_lines(struct reader *r, struct span text)
{
    struct section global = {.kind = SECTION_GLOBAL};
    push_section(r, &global);
    if (span_starts(text, SPAN("\xef\xbb\xbf")))
        text = span_from(text, 3);
    for (size_t number = 1; text.p != NULL && !r->is_out_of_memory; number++)
        read_line(r, span_cut(&text, '\n'), number);
}

/* The number of the line that the octet stands in. */
static size_t line_at(struct span text, size_t octet)
{
    size_t line = 1;
    for (size_t i = 0; i < octet; i++)
        line += text.p[i] == '\n';
    return line;
}

struct config *config_parse(struct span text, const char *file, struct config_problems *problems)
{
    *problems = (struct config_problems){.n = 0};
    struct reader r = {.problems = problems};
    struct config *c = alloc_array(1, sizeof *c);
    if (c != NULL)
        c->file = span_dup(span_of(file));
    if (text.n > CONFIG_READ_MAX)
        PROBLEM(&r, line_at(text, CONFIG_TEXT_MAX),
                "the file is larger than 1 MiB, which ends on this line: is it the right one?");
    else
        read_lines(&r, text);
    bool is_built = c != NULL && c->file != NULL && !r.is_out_of_memory && r.n_sections > 0 &&
                    config_build(c, &r) == 0;
    if (is_built)
        config_check(c, problems);
    else if (problems->n_errors == 0)
        PROBLEM(&r, 0, "no memory to read the configuration");
    free(r.sections);
    free(r.list);
    if (problems->n_errors == 0)
        return c;
    config_free(c);
    return NULL;
}

/* --- the file --- */

const char *config_path(const char *given)
{
    static const char usual[] = SYSCONFDIR "/barid/barid.conf";
    if (given != NULL)
        return given;
    const char *env = getenv("BARID_CONFIG");
    return access(usual, F_OK) == 0 || env == NULL || *env == '\0' ? usual : env;
}

/* Reads to the end, or as much as shows that it is too long. 0, or -1 (errno). */
static int read_all(int fd, struct buf *b)
{
    while (buf_span(b).n <= CONFIG_READ_MAX) {
        char *room = buf_room(b, 16384);
        ssize_t got = room != NULL ? read(fd, room, 16384) : -1;
        if (room == NULL)
            errno = ENOMEM;
        if (got < 0 && room != NULL && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? 0 : -1;
        buf_grew(b, (size_t)got);
    }
    return 0;
}

char *config_read(const char *path, size_t *n, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct buf b;
    buf_init(&b, CONFIG_READ_MAX + 2 * 16384);
    int rc = fd < 0 ? -1 : read_all(fd, &b);
    int why = errno;
    if (fd >= 0)
        close(fd);
    char *copy = NULL;
    *n = 0;
    if (rc < 0)
        error_set(e, "cannot read the configuration %s: %s: name the file with --config", path,
                  strerror(why));
    else if ((copy = malloc(b.end - b.at + 1)) == NULL)
        error_set(e, "no memory to read %s", path);
    else {
        *n = b.end - b.at;
        if (*n > 0)
            memcpy(copy, b.p + b.at, *n);
        copy[*n] = '\0';
    }
    buf_free(&b);
    return copy;
}
