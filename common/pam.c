#include "common/pam.h"

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_name(struct span name, size_t max, const char *others)
{
    if (name.n == 0 || name.n > max || !is_word(name.p[0]))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!is_word(name.p[i]) && (name.p[i] == '\0' || strchr(others, name.p[i]) == NULL))
            return false;
    return true;
}

bool pam_is_login(struct span name)
{
    return is_name(name, PAM_LOGIN_MAX, ".-@+$") && !span_eq(name, SPAN("root"));
}

bool pam_is_service(struct span name)
{
    return is_name(name, PAM_SERVICE_MAX, ".-");
}
