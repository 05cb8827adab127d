#include "mailbox/check_message.h"

#include "common/maildb.h"
#include "common/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define SCANNED_FLAGS (CONTENT_8BIT | CONTENT_DOTS | CONTENT_LONGLINE | CONTENT_HEADER8)

static const struct {
    const char *word, *text;
} flaws[] = {
    [FLAW_NONE] = {"", ""},
    [FLAW_ROW] = {"message-row", "what is noted of this message cannot be right"},
    [FLAW_MISSING] = {"content-missing", "its content is missing"},
    [FLAW_CONTENT] = {"content", "its content is not what was accepted"},
    [FLAW_FACTS] = {"content-facts", "its content is right, but what is noted of its lines is not"},
    [FLAW_NOBODY] = {"nobody", "it is in no mailbox and has no recipient"},
};

const char *flaw_word(enum flaw f)
{
    return flaws[f].word;
}

const char *flaw_text(enum flaw f)
{
    return flaws[f].text;
}

bool check_is_line(struct span s, size_t max)
{
    if (s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n')
            return false;
    return true;
}

static bool row_is_sane(const struct check_message *m)
{
    return m->id > 0 && m->arrived >= 0 && m->expires >= m->arrived && m->size > 0 &&
           m->header >= 0 && m->header <= m->size && m->flags >= 0 && m->flags <= UINT8_MAX &&
           m->ret >= RET_DEFAULT && m->ret <= RET_HDRS && m->hash.n == CONTENT_HASH &&
           (m->spooled == 0 || (m->spooled == 1 && !m->has_content)) &&
           check_is_line(m->sender, ADDRESS_MAX) && check_is_line(m->client, IP_MAX) &&
           check_is_line(m->helo, HELO_MAX) && check_is_line(m->login, LOGIN_MAX) &&
           (m->envid.n == 0 || envid_is_valid(m->envid));
}

/* The whole file. 0, or -1: there is none that can be read. */
static int scan_file(int64_t id, struct content_scan *scan)
{
    static char room[CHUNK_MAX];
    char name[MAILDB_SPOOL_NAME];
    struct stat st;
    ssize_t n = -1;
    maildb_spool_name(name, (uint64_t)id);
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        while ((n = read(fd, room, sizeof room)) > 0 || (n < 0 && errno == EINTR))
            if (n > 0)
                content_add(scan, (struct span){room, (size_t)n});
    close(fd);
    return n < 0 ? -1 : 0;
}

enum flaw check_message(const struct check_message *m)
{
    struct content_scan scan;
    if (!row_is_sane(m))
        return FLAW_ROW;
    content_begin(&scan);
    if (m->spooled != 0 ? scan_file(m->id, &scan) < 0 : !m->has_content)
        return FLAW_MISSING;
    if (m->spooled == 0)
        content_add(&scan, m->content);
    content_end(&scan);
    if (scan.octets != (uint64_t)m->size || memcmp(scan.hash, m->hash.p, sizeof scan.hash) != 0)
        return FLAW_CONTENT;
    if (scan.header != (uint64_t)m->header || scan.flags != (m->flags & SCANNED_FLAGS))
        return FLAW_FACTS;
    return m->n_holders == 0 && m->n_rcpts == 0 ? FLAW_NOBODY : FLAW_NONE;
}
