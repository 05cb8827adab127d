/* pamd: asked about a login that the system does not have, by a service that is not there either:
 * PAM then takes the one called "other". Such a login is never right. */
#include "tests/fault/subject.h"
#include "tests/fault/work.h"

#include "common/verdict.h"

static unsigned wrong;

/* 1: answered; -1, WORK_SILENCE. */
static int ask(struct play *p)
{
    static uint64_t tag;
    union msg m;
    int fd;
    struct msg_pam_check check = {.tag = ++tag,
                                  .session = tag,
                                  .client = SPAN("127.0.0.1"),
                                  .login = SPAN("barid-nobody-is-called-so"),
                                  .password = SPAN("secret")};
    int rc = subject_ask(p->channels[ROLE_AUTHD], MSG_PAM_CHECK, &check, MSG_PAM_CHECK_RE, &m, &fd);
    if (rc > 0 && m.pam_check_re.verdict != VERDICT_NEVER &&
        m.pam_check_re.verdict != VERDICT_TRY_LATER) {
        printf("# the login of nobody: %u\n", m.pam_check_re.verdict);
        wrong++;
    }
    return rc;
}

static void lay_out(const char *state, const char *template)
{
    (void)template;
    wrong = 0;
    play_layout(state);
}

static int day(struct play *p)
{
    int rc = ask(p);
    return rc < 0 ? rc : 0;
}

static unsigned evening(bool is_clean)
{
    (void)is_clean;
    return wrong;
}

static unsigned again(struct play *p)
{
    wrong = 0;
    if (ask(p) != 1)
        wrong++;
    return wrong;
}

const struct subject subject_pamd = {.role = ROLE_PAMD,
                                     .peers = P_AUTHD,
                                     .config = "[pam]\nservice = barid-test-none\n",
                                     .sample = 3,
                                     .is_kept = true,
                                     .lay_out = lay_out,
                                     .day = day,
                                     .evening = evening,
                                     .again = again};
