#include "common/clock.h"
#include "common/config.h"
#include "common/proto.h"

#include <criterion/criterion.h>
#include <inttypes.h>

/* Appends "LINE message" or "LINE warning: message" for each problem, one a line. */
static void list_problems(const struct config_problems *p, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < p->n && used < cap; i++)
        used += (size_t)snprintf(out + used, cap - used, "%zu %s%s\n", p->list[i].line,
                                 p->list[i].is_warning ? "warning: " : "", p->list[i].text);
}

#define HOST   "hostname = mx.example.org\n"
#define LISTEN "[listen smtp]\n"

static const struct {
    const char *text;
    const char *problems; /* "": none */
} tables[] = {
    {HOST LISTEN, ""},
    {"\xef\xbb\xbfhostname = mx.example.org\r\n[listen smtp]\r\n", ""},
    {HOST "[listen smtp]", ""},
    {HOST "  # a comment\n\n\t[listen\t smtp ]  # another\n address = 127.0.0.1:25# no\n",
     "5 address: '127.0.0.1:25# no' is not an address with a port, like 0.0.0.0:25 or [::]:25\n"},
    {"hostname = mx\n" LISTEN, "1 warning: hostname 'mx' has no domain: many servers refuse mail "
                               "from it, set the full name\n"},
    {HOST, "1 no listen section, so nothing would be served: add for example a line '[listen "
           "smtp]'\n"},
    {HOST LISTEN "adress = 0.0.0.0:25\n", "3 unknown setting 'adress': did you mean 'address'?\n"},
    {HOST LISTEN "zzzzzzzz = 1\n", "3 unknown setting 'zzzzzzzz': see barid.conf(5)\n"},
    {HOST LISTEN "[relais]\nfoo = 1\n", "3 unknown section [relais]: did you mean [relay]?\n"},
    {HOST LISTEN "[listen smpt]\n", "3 unknown kind of listener 'smpt': did you mean 'smtp'?\n"},
    {HOST LISTEN "[listen]\n",
     "3 [listen] needs a name: smtp, submission, submissions, pop3, pop3s or lmtp\n"},
    {HOST LISTEN "[auth x]\n", "3 [auth] takes no name: remove 'x'\n"},
    {HOST LISTEN "[auth\n", "3 a section must stand alone on its line and end with ']'\n"},
    {HOST LISTEN "[]\n", "3 unknown section []: see barid.conf(5)\n"},
    {HOST LISTEN "retry = 5m\n", "3 'retry' belongs into [relay]\n"},
    {HOST "retry = 5m\n" LISTEN, "2 'retry' belongs into [relay]\n"},
    {HOST LISTEN "state_dir = /x\n", "3 'state_dir' belongs above the first section\n"},
    {HOST HOST LISTEN, "2 'hostname' is set twice (first on line 1): keep one\n"},
    {HOST LISTEN "[auth]\n[relay]\n[auth]\n",
     "5 [auth] stands twice (first on line 3): put its settings together\n"},
    {HOST LISTEN "just words\n",
     "3 'just words' is neither 'key = value' nor '[section]' nor '# comment'\n"},
    {HOST LISTEN "= 1\n", "3 '= 1' is neither 'key = value' nor '[section]' nor '# comment'\n"},
    {HOST LISTEN "address =\n", "3 address: a value is missing\n"},
    {HOST LISTEN "\x1b[31m\n", "3 a control character (octet 0x1b): is this a text file?\n"},
    {"hostname = not_a_host\n" LISTEN, "1 hostname: 'not_a_host' is not a host name\n"},
    {"hostname = 192.0.2.1\n" LISTEN, "1 hostname: '192.0.2.1' is not a host name\n"},
    {HOST "state_dir = var\n" LISTEN,
     "2 state_dir: 'var' must be an absolute path, starting with '/'\n"},
    {HOST "message_size_max = 50X\n" LISTEN,
     "2 message_size_max: '50X' is not a size: write octets, or a number with K, M or G, like "
     "50M\n"},
    {HOST "message_size_max = 5G\n" LISTEN, "2 message_size_max: must be from 1K to 4G\n"},
    {HOST "message_size_max = 9999999999G\n" LISTEN,
     "2 message_size_max: '9999999999G' is not a size: write octets, or a number with K, M or G, "
     "like 50M\n"},
    {HOST "workers = 0\n" LISTEN, "2 workers: must be from 1 to 64\n"},
    {HOST "workers = none\n" LISTEN, "2 workers: 'none' is not a number\n"},
    {HOST "workers = -1\n" LISTEN, "2 workers: '-1' is not a number\n"},
    {HOST LISTEN "[auth]\nfailure_delay = 5\n",
     "4 failure_delay: '5' is not a duration: write a number with a unit, like 500ms, 30s, 5m, 4h "
     "or 5d\n"},
    {HOST LISTEN "[auth]\nfailure_delay = 2h\n", "4 failure_delay: must be from 0s to 1m\n"},
    {HOST LISTEN "[auth]\nfailures_per_address = 10\n",
     "4 failures_per_address: '10' is not a rate: write a number and a time, like 10/10m, or "
     "none\n"},
    {HOST LISTEN "[auth]\nfailures_per_address = 0/10m\n",
     "4 failures_per_address: must be from 1 to 1000000, or none\n"},
    {HOST LISTEN "[auth]\nfailures_per_address = 1/1ms\n",
     "4 failures_per_address: the time of a rate must be from 1s to 1d\n"},
    {HOST LISTEN "[auth]\nplaintext_without_tls = maybe\n",
     "4 plaintext_without_tls: 'maybe' is not one of no, loopback, yes\n"},
    {HOST LISTEN "[auth]\nplaintext_without_tls = yes\n",
     "4 warning: passwords travel in the clear: 'yes' is for tests only\n"},
    {HOST LISTEN "[relay]\nretry = 5m,,1h\n", "4 retry: an entry of the list is empty\n"},
    {HOST LISTEN "[relay]\nport = 0\n", "4 port: must be from 1 to 65535\n"},
    {HOST LISTEN "[relay]\nallow_from = 10.0.0.1/8\n",
     "4 allow_from: '10.0.0.1/8' is not a network, like 10.0.0.0/8 or ::1 (no bits may be set "
     "behind the prefix)\n"},
    {HOST LISTEN "[relay]\nallow_from = 0.0.0.0/0\n",
     "4 warning: allow_from takes in everybody: this is an open relay\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtps://a.example\n", ""},
    {HOST LISTEN "[relay]\nsmarthost = smtps://a.example\ntls = none\n",
     "5 smtps:// and 'tls = none' contradict each other: use smtp://\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://u:secret@a.example\n",
     "4 smarthost: a password has no place in the URL: put it into a file and name that in "
     "smarthost_secret\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://u@a.example\n",
     "4 the user in the URL needs a password: name its file in smarthost_secret\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://u%4@a.example\n",
     "4 smarthost: 'u%4' is not a user name\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://u%0ax@a.example\n",
     "4 smarthost: 'u%0ax' is not a user name\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://@a.example\n",
     "4 smarthost: there is no user name before the @\n"},
    {HOST LISTEN "[relay]\nfallback = smtp://u@a.example\n",
     "4 there is no login at a fallback: leave the user out of the URL\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://a.example\nsmarthost_secret = /s\n",
     "5 warning: smarthost_secret is not used, as no URL here names a user\n"},
    {HOST LISTEN "[route a.example]\nto = smtp://u@a.example\n",
     "3 the user in the URL needs a password: name its file in smarthost_secret\n"},
    {HOST LISTEN "[relay]\nsmarthost = a.example\n",
     "4 smarthost: must be a URL like smtp://10.0.0.25:25\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://\n",
     "4 smarthost: '' is not a host name or address (IPv6: in brackets)\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://a:b\n", "4 smarthost: 'b' is not a port number\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://[::1\n",
     "4 smarthost: '[::1' is not an IPv6 address in brackets\n"},
    {HOST LISTEN "[relay]\nsmarthost = smtp://[::1]x\n",
     "4 smarthost: '[::1]x' is not an IPv6 address in brackets\n"},
    {HOST LISTEN "[route example.com]\nto = mx\nbackup_mx = yes\n",
     "3 backup_mx without a way to know who exists would return mail for nobody to strangers: set "
     "recipients or callout\n"},
    {HOST LISTEN "[route example.com]\nto = mx\nbackup_mx = yes\nrecipients = /r\n", ""},
    {HOST LISTEN "[route sender:@example.com]\nto = mx\nbackup_mx = yes\ncallout = yes\n",
     "3 backup_mx is for domains: [route sender:@example.com] is about senders\n"},
    {HOST LISTEN "[route example.com]\nto = hold\nbackup_mx = yes\ncallout = yes\n",
     "3 callout has nobody to ask: 'to' names no server\n"},
    {HOST LISTEN "[route example.com]\nto = mx\ncallout = yes\n",
     "3 warning: recipients and callout do nothing without 'backup_mx = yes'\n"},
    {HOST LISTEN "[route example.com]\nto = mx, smtp://a.example\n",
     "4 to: 'hold', 'discard' and 'mx' stand alone\n"},
    {HOST LISTEN "[route example.com]\n", "3 'to = …' is missing in this section\n"},
    {HOST LISTEN "[route a.b]\nto = smtp://x.y\n[route A.B]\nto = smtp://x.z\n",
     "5 [route A.B] stands twice (first on line 3)\n"},
    {HOST LISTEN "[route -]\nto = smtp://x.y\n",
     "3 '-' is not a domain, .domain, sender:address or sender:@domain\n"},
    {HOST LISTEN "[tls]\ncertificate = /a\nkey = /b\n", ""},
    {HOST LISTEN "[tls]\ncertificate = /a\nkey = /b\nclient_certificates = maybe\n",
     "6 client_certificates: 'maybe' is not one of no, ask\n"},
    {HOST "[listen submissions]\n[tls]\ncertificate = /a\nkey = /b\n", ""},
    {HOST "[listen submissions]\n", "2 [listen submissions] needs TLS: " CONFIG_MAKE_A_PAIR "\n"},
    {HOST "[listen pop3s]\n", "2 [listen pop3s] needs TLS: " CONFIG_MAKE_A_PAIR "\n"},
    {HOST LISTEN "[dns]\nserver = 127.0.0.1:53\n",
     "4 server: '127.0.0.1:53' is not the address of a DNS server, like 127.0.0.1 or "
     "127.0.0.1@5353\n"},
    {HOST "[listen submission]\n",
     "2 warning: nobody can log in here without TLS: " CONFIG_MAKE_A_PAIR
     "; or 'plaintext_without_tls = loopback' for this machine\n"},
    {HOST "[listen submission]\nplaintext_without_tls = loopback\n", ""},
    {HOST "[listen smtp]\naddress = 127.0.0.1:2525\nrequire_tls = yes\n",
     "2 require_tls needs TLS: " CONFIG_MAKE_A_PAIR "\n"},
    {HOST "[listen smtp]\naddress = 127.0.0.1:2525\nrequire_tls = yes\n"
          "[tls]\ncertificate = /a\nkey = /b\n",
     ""},
    {HOST "[listen smtp]\naddress = 127.0.0.1:25\nrequire_tls = yes\n"
          "[tls]\ncertificate = /a\nkey = /b\n",
     "2 warning: require_tls on port 25: servers without TLS cannot send mail here, so no MX "
     "record may name this host (RFC 3207 4)\n"},
    {HOST "[listen pop3]\nrequire_tls = yes\n[tls]\ncertificate = /a\nkey = /b\n",
     "2 warning: require_tls does nothing here: see plaintext_without_tls\n"},
    {HOST "[listen pop3]\n", "2 warning: nobody can log in here without TLS: " CONFIG_MAKE_A_PAIR
                             "; or 'plaintext_without_tls = loopback' for this machine\n"},
    {HOST "[listen pop3]\nplaintext_without_tls = loopback\n", ""},
    {HOST
     "[listen smtp]\naddress = 127.0.0.1:25, [::1]:25\n[listen smtp]\naddress = 127.0.0.1:25\n",
     "4 the address 127.0.0.1:25 stands twice (first in [listen smtp] of line 2)\n"},
    {HOST "[listen smtp]\naddress = 127.0.0.1:0, 127.0.0.1:0\n", ""},
    {HOST "[listen smtp]\naddress = localhost:25\n",
     "3 address: 'localhost:25' is not an address with a port, like 0.0.0.0:25 or [::]:25\n"},
    {HOST "workers = x\n" LISTEN "[limits]\nhops = y\n",
     "2 workers: 'x' is not a number\n5 hops: 'y' is not a number\n"},
};

Test(config, problems)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct config_problems p;
        char got[4096];
        struct config *c = config_parse(span_of(tables[i].text), "test.conf", &p);
        list_problems(&p, got, sizeof got);
        cr_expect_str_eq(got, tables[i].problems, "%s\n--- gives ---\n%s", tables[i].text, got);
        cr_expect_eq(c == NULL, p.n_errors > 0, "%s", tables[i].text);
        config_free(c);
        config_problems_free(&p);
    }
}

static struct config *parse(const char *text)
{
    struct config_problems p;
    struct config *c = config_parse(span_of(text), "test.conf", &p);
    for (size_t i = 0; c == NULL && i < p.n; i++)
        cr_log_error("%zu: %s", p.list[i].line, p.list[i].text);
    config_problems_free(&p);
    cr_assert_not_null(c);
    return c;
}

Test(config, defaults_are_those_of_the_contract)
{
    struct config *c = parse(HOST "[listen smtp]\n");
    cr_expect_str_eq(c->hostname, "mx.example.org");
    cr_expect_eq(c->message_size_max, 50U << 20);
    cr_expect_eq(c->row_content_max, 64U << 10);
    cr_expect_eq(c->bare_newline, BARE_NEWLINE_REFUSE);
    cr_expect_eq(c->auth.plaintext_without_tls, PLAINTEXT_NO);
    cr_expect_eq(c->auth.failures_per_connection, 5);
    cr_expect_eq(c->auth.failures_per_address.count, 10);
    cr_expect_eq(c->auth.failures_per_address.period_ms, 600000);
    cr_expect_eq(c->auth.failure_delay_ms, 1000);
    cr_expect_eq(c->limits.connections, 500);
    cr_expect_eq(c->limits.connections_per_address, 20);
    cr_expect_eq(c->limits.connection_rate.count, 120);
    cr_expect_eq(c->limits.connection_rate.period_ms, 60000);
    cr_expect_eq(c->limits.recipients, 1000);
    cr_expect_eq(c->limits.errors, 10);
    cr_expect_eq(c->limits.junk_commands, 100);
    cr_expect_eq(c->limits.hops, 100);
    cr_expect_eq(c->limits.command_timeout_ms, 300000);
    cr_expect_eq(c->limits.minimum_rate, 500);
    cr_expect_eq(c->relay.n_allow_from, 0);
    cr_expect_eq(c->relay.n_smarthost, 0);
    cr_assert_eq(c->relay.delivery.n_retry, 6);
    cr_expect_eq(c->relay.delivery.retry_ms[0], 300000);
    cr_expect_eq(c->relay.delivery.retry_ms[5], 4 * 3600000);
    cr_expect_eq(c->submit_listen.require_tls, SWITCH_OFF); /* it is a socket of this machine */
    cr_expect_eq(c->relay.delivery.expire_ms, INT64_C(5) * 86400000);
    cr_expect_eq(c->relay.delivery.delay_warning_ms, 4 * 3600000);
    cr_expect_eq(c->relay.port, 25);
    cr_expect_eq(c->relay.delivery.connections_per_destination, 20);
    cr_expect_eq(c->relay.n_never_connect_to, 8);
    cr_expect_eq(c->dns.n_servers, 0);
    cr_expect_str_eq(c->dns.trust_anchor, "/usr/share/dns/root.key");
    cr_assert_eq(c->n_listens, 1);
    cr_assert_geq(c->listens[0].n_addresses, 1);
    cr_expect_eq(c->listens[0].addresses[0].address.port, 25);
    cr_expect_geq(c->workers, 1);
    config_free(c);
}

Test(config, values)
{
    struct config *c = parse(
        "hostname = MX.Example.org   # comment\nstate_dir = /srv/mail/\nmessage_size_max = 1M\n"
        "workers=3\n[smtp]\nbare_newline = normalise\n[auth]\nfailures_per_address = none\n"
        "failures_per_connection = none\nfailure_delay = 0\n[relay]\nallow_from = 10.0.0.0/8, ::1\n"
        "smarthost = smtp://[2001:db8::1]:2525\nretry = 500ms, 1h30m\nnever_connect_to = none\n"
        "[route Example.COM]\nto = smtp://Relay.example\n"
        "[dns]\nserver = 127.0.0.1@5353, ::1, 192.0.2.9\n"
        "[listen pop3]\naddress = 127.0.0.1:1110\nplaintext_without_tls = loopback\nconnections = "
        "7\n[listen smtp]\n[limits]\nconnections = 9\nhops = 8\n");
    cr_expect_str_eq(c->hostname, "mx.example.org");
    cr_expect_str_eq(c->state_dir, "/srv/mail");
    cr_expect_eq(c->workers, 3);
    cr_expect_eq(c->bare_newline, BARE_NEWLINE_NORMALISE);
    cr_expect(c->auth.failures_per_address.is_off);
    cr_expect_eq(c->auth.failures_per_connection, UINT64_MAX);
    cr_expect_eq(c->auth.failure_delay_ms, 0);
    cr_expect_str_eq(c->relay.smarthost[0].host, "2001:db8::1");
    cr_expect_eq(c->relay.smarthost[0].port, 2525);
    cr_assert_eq(c->relay.delivery.n_retry, 2);
    cr_expect_eq(c->relay.delivery.retry_ms[0], 500);
    cr_expect_eq(c->relay.delivery.retry_ms[1], 90 * 60000);
    cr_expect_eq(c->relay.n_never_connect_to, 0);
    cr_expect_str_eq(c->routes[0].domain, "example.com");
    cr_expect_str_eq(c->routes[0].to[0].host, "relay.example");
    cr_expect_eq(c->routes[0].to[0].port, 25);
    cr_assert_eq(c->dns.n_servers, 3);
    cr_expect_eq(c->dns.servers[0].port, 5353);
    cr_expect_eq(c->dns.servers[1].port, 53);
    cr_assert_eq(c->n_listens, 2);
    const struct listen_config *pop3 = config_listen(c, 0), *smtp = config_listen(c, 1);
    cr_expect_null(config_listen(c, 2));
    cr_expect_eq(pop3->kind, LISTEN_POP3);
    cr_expect_eq(pop3->auth.plaintext_without_tls, PLAINTEXT_LOOPBACK);
    cr_expect_eq(pop3->auth.failures_per_connection, UINT64_MAX, "taken over from [auth]");
    cr_expect_eq(pop3->limits.connections, 7);
    cr_expect_eq(pop3->limits.hops, 8, "[limits] may come after the listener");
    cr_expect_eq(smtp->limits.connections, 9);
    cr_expect_eq(smtp->auth.plaintext_without_tls, PLAINTEXT_NO);
    struct netaddr a;
    netaddr_parse(SPAN("10.9.8.7"), &a);
    cr_expect(config_may_relay(c, &a));
    netaddr_parse(SPAN("11.9.8.7"), &a);
    cr_expect_not(config_may_relay(c, &a));
    config_free(c);
}

/* What config_show printed, as a file again and as "section/key@line" words. */
struct shown {
    char text[16384], lines[16384], section[300];
    size_t n, n_lines;
};

static void collect(void *arg, const char *section, const char *key, const char *value, size_t line)
{
    struct shown *s = arg;
    if (strcmp(s->section, section) != 0)
        s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "[%s]\n", section);
    snprintf(s->section, sizeof s->section, "%s", section);
    s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "%s = %s\n", key, value);
    if (line > 0)
        s->n_lines += (size_t)snprintf(s->lines + s->n_lines, sizeof s->lines - s->n_lines,
                                       "%s/%s@%zu ", section, key, line);
}

Test(config, what_is_shown_reads_back_the_same)
{
    static struct shown first, second;
    struct config *c = parse(HOST "[listen smtp]\n[listen pop3]\nhops = 3\n[route b.example]\nto = "
                                  "smtp://x.y\n[route a.example]\nto = smtp://[::1]:7\n"
                                  "[tls z]\nkey = /k\ncertificate = /c\n[tls]\nkey = /k\n"
                                  "certificate = /c\n[relay]\nretry = 1d2h3m4s5ms\n");
    config_show(c, collect, &first);
    config_free(c);
    c = parse(first.text);
    config_show(c, collect, &second);
    config_free(c);
    cr_expect_str_eq(first.text, second.text);
    cr_expect_str_eq(
        first.lines,
        "/hostname@1 relay/retry@16 listen pop3/hops@4 tls/certificate@14 tls/key@13 "
        "tls z/certificate@11 tls z/key@10 route a.example/to@8 route b.example/to@6 ");
}

static void count_row(void *arg, const char *section, const char *key, const char *type,
                      const char *fallback, const char *meaning)
{
    (void)section, (void)fallback;
    ++*(size_t *)arg;
    cr_expect(*key && *type && *meaning && meaning[strlen(meaning) - 1] == '.', "%s", key);
}

Test(config, every_setting_is_described)
{
    size_t n = 0;
    config_doc(count_row, &n);
    cr_expect_gt(n, 30);
}

Test(config, children_need_nothing_of_the_machine)
{
    struct config *c = parse("[listen smtp]\naddress = 127.0.0.1:25\n");
    size_t n;
    char *text =
        config_child_text(c, SPAN("\xef\xbb\xbf[listen smtp]\naddress = 127.0.0.1:25\n"), &n);
    cr_assert_not_null(text);
    cr_expect_eq(strlen(text), n);
    struct config *child = parse(text);
    cr_expect_str_eq(child->hostname, c->hostname);
    cr_expect_eq(child->workers, c->workers);
    cr_expect(strstr(text, "hostname = ") && strstr(text, "workers = "));
    free(text);
    config_free(child);
    config_free(c);
}

Test(config, a_file_that_is_none)
{
    static char text[2000000];
    struct config_problems p;
    memset(text, 'x', sizeof text);
    cr_expect_null(config_parse((struct span){text, sizeof text}, "t", &p));
    cr_expect_eq(p.n, 1);
    config_problems_free(&p);
    for (size_t i = 1; i < sizeof text; i += 2)
        text[i] = '\n';
    cr_expect_null(config_parse((struct span){text, 100000}, "t", &p));
    cr_expect_eq(p.n, 201, "%zu", p.n);
    cr_expect_gt(p.n_errors, 40000);
    config_problems_free(&p);
}

/* Pieces that are near to a real file, put together at random (fixed seed). */
Test(config, random_pieces_do_no_harm)
{
    static const char *const pieces[] = {"[listen smtp]",
                                         "[route ",
                                         "[tls]",
                                         "]",
                                         "\n",
                                         "\r\n",
                                         "=",
                                         " ",
                                         "hostname",
                                         "address",
                                         "retry",
                                         "to",
                                         "10/10m",
                                         "none",
                                         ",",
                                         "#",
                                         "smtp://",
                                         "[::1]",
                                         "@",
                                         ":25",
                                         "127.0.0.1",
                                         "50M",
                                         "1h2m",
                                         "/x",
                                         "\xff\xfe",
                                         "server",
                                         "[auth]",
                                         "allow_from",
                                         "99999999999999999999",
                                         "[relay]",
                                         "\t",
                                         "a.example"};
    uint64_t state = 88172645463325252U;
    for (int round = 0; round < 3000; round++) {
        char text[400];
        size_t n = 0;
        for (int k = 0; k < 30; k++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            struct span s = span_of(pieces[state % (sizeof pieces / sizeof *pieces)]);
            if (n + s.n <= sizeof text)
                memcpy(text + n, s.p, s.n), n += s.n;
        }
        if (round % 3 == 0 && n > 0)
            text[state % n] = (char)(state >> 32);
        struct config_problems p;
        struct config *c = config_parse((struct span){text, n}, "t", &p);
        cr_assert_eq(c == NULL, p.n_errors > 0);
        config_free(c);
        config_problems_free(&p);
    }
}
