/* What the reasons for which a message is not taken mean; declared in intake.h. */
#include "queue/intake.h"

static const struct {
    enum verdict verdict;
    const char *name;
} reasons[] = {
    [INTAKE_OK] = {VERDICT_OK, "ok"},
    [INTAKE_FAULT] = {VERDICT_TRY_LATER, "fault"},
    [INTAKE_DISK] = {VERDICT_TRY_LATER, "disk"},
    [INTAKE_QUOTA] = {VERDICT_TRY_LATER, "quota"},
    [INTAKE_TOO_BIG] = {VERDICT_NEVER, "too-big"},
    [INTAKE_STALE] = {VERDICT_TRY_LATER, "stale"},
    [INTAKE_RELAYING] = {VERDICT_NEVER, "relaying"},
    [INTAKE_CONTENT] = {VERDICT_NEVER, "content"},
    [INTAKE_RATE] = {VERDICT_TRY_LATER, "rate"},
    [INTAKE_LOGIN] = {VERDICT_TRY_LATER, "login"},
    [INTAKE_SENDER] = {VERDICT_NEVER, "sender"},
    [INTAKE_NOBODY] = {VERDICT_NEVER, "nobody"},
    [INTAKE_UNVERIFIED] = {VERDICT_TRY_LATER, "unverified"},
    [INTAKE_HELD] = {VERDICT_TRY_LATER, "held"},
};

enum verdict intake_verdict(enum intake_reason reason)
{
    return reasons[reason].verdict;
}

const char *intake_reason_name(enum intake_reason reason)
{
    return reasons[reason].name;
}
