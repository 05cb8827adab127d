/* CAPA UTF8 LANG: what the server can do, and how it is to speak. */
#include "pop3d/cmd.h"

/* --- CAPA (RFC 2449 5): every line is true at the moment it is sent --- */

static void say_expire(struct session *s)
{
    bool is_open = s->state == STATE_TRANSACTION;
    uint64_t days = is_open ? s->expire_days : s->set.expire_days;
    const char *varies = !is_open && s->set.expire_varies ? REPLY_CAPA_VARIES : "";
    if (days == 0)
        session_say(s, REPLY_CAPA_NEVER);
    else
        session_sayf(s, REPLY_CAPA_EXPIRE, (unsigned long long)days, varies);
}

void cmd_capa(struct session *s, struct span arg)
{
    (void)arg;
    session_say(s, REPLY_CAPA);
    session_say(s, REPLY_CAPA_LINES);
    say_expire(s);
    if (s->set.login_delay_s > 0)
        session_sayf(s, REPLY_CAPA_DELAY, (unsigned long long)s->set.login_delay_s);
    if (s->set.tells_name)
        session_say(s, REPLY_CAPA_IMPLEMENTATION);
    if (s->set.may_log_in)
        session_say(s, REPLY_CAPA_USER);
    if (s->set.may_log_in) {
        char names[SASL_LIST_MAX];
        sasl_list(names, sasl_offered(s));
        session_sayf(s, REPLY_CAPA_SASL, names);
    }
    if (session_offers_tls(s))
        session_say(s, REPLY_CAPA_STLS);
    session_send(s, SPAN(".\r\n"));
}

/* --- UTF8 (RFC 6856 2) --- */

/* Messages are given out as they came, in both modes: what signed a header would not survive a
 * downgrade, and a client that asks for a message with such a header gets nothing otherwise. Names
 * and passwords may be UTF-8 at any time (UTF8 USER). So nothing changes but the promise. */
void cmd_utf8(struct session *s, struct span arg)
{
    (void)arg;
    session_say(s, REPLY_UTF8);
}

/* --- LANG (RFC 6856 3) --- */

/* The texts are English, which is what i-default must be readable as (RFC 2277 4.5). The first is
 * the one of a session that did not choose. */
static const struct language {
    const char *tag, *name;
} languages[] = {
    {"i-default", "Default"},
    {"en", "English"},
};

/* The subtags after the last hyphen are left off (RFC 4647 3.4); a single letter or digit goes with
 * what it introduced. */
static struct span shorten(struct span range)
{
    while (range.n > 0 && range.p[range.n - 1] != '-')
        range.n--;
    if (range.n > 0)
        range.n--;
    if (range.n >= 2 && range.p[range.n - 2] == '-')
        range.n -= 2;
    return range;
}

static const struct language *find_language(struct span range)
{
    size_t n = sizeof languages / sizeof *languages;
    if (span_eq(range, SPAN("*")))
        return &languages[0];
    for (; range.n > 0; range = shorten(range))
        for (size_t i = 0; i < n; i++)
            if (span_ieq(range, span_of(languages[i].tag)))
                return &languages[i];
    return NULL;
}

static void list_languages(struct session *s)
{
    session_say(s, REPLY_LANGS);
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        session_sayf(s, REPLY_LANG_LINE, languages[i].tag, languages[i].name);
    session_send(s, SPAN(".\r\n"));
}

void cmd_lang(struct session *s, struct span arg)
{
    struct span range = span_trim(arg);
    if (range.n == 0) {
        list_languages(s);
        return;
    }
    const struct language *l = find_language(range);
    if (l != NULL)
        session_sayf(s, REPLY_LANG, l->tag);
    else
        session_say(s, REPLY_LANG_NONE); /* a client may try several */
}
