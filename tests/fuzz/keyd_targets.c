#include "tests/fuzz/fuzz.h"

#include "keyd/form.h"

/* Whatever is signed has the context of a server in it, or is of the length that its group has. */
void fuzz_form(struct span in)
{
    enum form form = form_of(in);
    if (form == FORM_TLS13)
        fuzz_check((in.n == 130 || in.n == 146) &&
                       memcmp(in.p + 64, "TLS 1.3, server CertificateVerify", 34) == 0,
                   "form: not a server's CertificateVerify");
    if (form == FORM_TLS12)
        fuzz_check(in.n > 68 && in.p[64] == 3 && in.n == 68U + (unsigned char)in.p[67],
                   "form: not a ServerKeyExchange");
    for (unsigned scheme = 0; scheme < 0x1000; scheme++)
        fuzz_check(form != FORM_NONE || !form_allows(form, (enum key_scheme)scheme),
                   "form: something else would be signed");
}
