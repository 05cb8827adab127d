/* Defaults that the machine decides; declared in config_table.h. */
#include "common/config_table.h"

#include <netdb.h>
#include <sched.h>

/* The name of a host by resolver or /etc/hosts, or its bare name. */
static void find_canonical(const char *name, char out[DEFAULT_MAX])
{
    struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *found = NULL;
    snprintf(out, DEFAULT_MAX, "%s", name);
    if (strchr(name, '.') == NULL && getaddrinfo(name, NULL, &hints, &found) == 0) {
        if (found->ai_canonname != NULL && strchr(found->ai_canonname, '.') != NULL)
            snprintf(out, DEFAULT_MAX, "%s", found->ai_canonname);
        freeaddrinfo(found);
    }
}

/* Asked once per name: where the resolver is silent each answer takes seconds. */
void config_find_hostname(char out[DEFAULT_MAX], enum listen_kind kind)
{
    static char asked[DEFAULT_MAX], answer[DEFAULT_MAX];
    char name[DEFAULT_MAX];
    (void)kind;
    if (gethostname(name, sizeof name - 1) < 0 || name[0] == '\0')
        snprintf(name, sizeof name, "localhost");
    name[sizeof name - 1] = '\0';
    if (strcmp(name, asked) != 0)
        find_canonical(name, answer);
    memcpy(asked, name, sizeof asked);
    memcpy(out, answer, sizeof answer);
}

void config_find_workers(char out[DEFAULT_MAX], enum listen_kind kind)
{
    (void)kind;
    cpu_set_t cores;
    int n = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    snprintf(out, DEFAULT_MAX, "%d", n < 1 ? 1 : n > 64 ? 64 : n);
}

void config_find_addresses(char out[DEFAULT_MAX], enum listen_kind kind)
{
    static const unsigned ports[LISTEN_KINDS] = {[LISTEN_SMTP] = 25,
                                                 [LISTEN_SUBMISSION] = 587,
                                                 [LISTEN_SUBMISSIONS] = 465,
                                                 [LISTEN_POP3] = 110,
                                                 [LISTEN_POP3S] = 995};
    if (kind == LISTEN_LMTP) { /* nobody else may use it, unless he is named */
        snprintf(out, DEFAULT_MAX, "127.0.0.1:24");
        return;
    }
    /* A kernel without IPv6 has no such file, and could not bind [::]. */
    bool has_ipv6 = access("/proc/net/if_inet6", F_OK) == 0;
    snprintf(out, DEFAULT_MAX, has_ipv6 ? "0.0.0.0:%u, [::]:%u" : "0.0.0.0:%u", ports[kind],
             ports[kind]);
}
