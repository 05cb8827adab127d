/* pamd: asked about a login that the system does not have, by a service that is not there either:
 * PAM then takes the one called "other". Such a login is never right. */
#include "tests/fault/subject.h"
#include "tests/fault/work.h"

#include "common/verdict.h"

/* 1: answered; -1, WORK_SILENCE. */
static int ask(struct play *p)
{
    static uint64_t tag;
    union msg m;
    int fd;
    tag++;
    struct msg_pam_check check = {.tag = tag,
                                  .session = tag,
                                  .client = SPAN("127.0.0.1"),
                                  .login = SPAN("barid-nobody-is-called-so"),
                                  .password = SPAN("secret")};
    int rc = subject_ask(p->channels[ROLE_AUTHD], MSG_PAM_CHECK, &check, MSG_PAM_CHECK_RE, &m, &fd);
    if (rc > 0 && m.pam_check_re.verdict != VERDICT_NEVER &&
        m.pam_check_re.verdict != VERDICT_TRY_LATER)
        subject_complain_of("the login of nobody", m.pam_check_re.verdict);
    return rc;
}

static void lay_out(const char *state, const char *template)
{
    (void)template;
    play_layout(state);
}

static int day(struct play *p)
{
    int rc = ask(p);
    return rc < 0 ? rc : 0;
}

static void again(struct play *p)
{
    if (ask(p) != 1)
        subject_complain("afterwards, no answer");
}

const struct subject subject_pamd = {.role = ROLE_PAMD,
                                     .peers = P_AUTHD,
                                     .config = "[pam]\nservice = barid-test-none\n",
                                     .sample = 3,
                                     .is_kept = true,
                                     .lay_out = lay_out,
                                     .day = day,
                                     .again = again};
