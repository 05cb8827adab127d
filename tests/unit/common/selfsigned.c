#include "tests/unit/common/selfsigned.h"

#include <criterion/criterion.h>
#include <openssl/pem.h>

struct selfsigned selfsigned_make(EVP_PKEY *key, const char *names, long valid_s)
{
    struct selfsigned s = {.x = X509_new()};
    X509_set_version(s.x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(s.x), 1);
    X509_gmtime_adj(X509_getm_notBefore(s.x), -60);
    X509_gmtime_adj(X509_getm_notAfter(s.x), valid_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(s.x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(s.x, X509_get_subject_name(s.x));
    X509_set_pubkey(s.x, key);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(s.x, san, -1);
    X509_EXTENSION_free(san);
    cr_assert_gt(X509_sign(s.x, key, EVP_sha256()), 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, s.x);
    s.n = (size_t)BIO_read(bio, s.pem, sizeof s.pem);
    BIO_free(bio);
    return s;
}
