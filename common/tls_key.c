#include "common/tls_key.h"

#include "common/cert.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#define PROVIDER   "barid"
#define PROPERTIES "provider=barid"

static struct {
    tls_sign_fn *sign;
    void *arg;
} signer;

/* --- keys (OSSL_OP_KEYMGMT) --- */

/* A key as this provider has it: the public half, as the default provider has it. */
struct half {
    const char *kind;
    EVP_PKEY *pub; /* NULL: not imported yet */
    unsigned char id[KEY_ID];
};

static struct half *half_new(const char *kind)
{
    struct half *h = calloc(1, sizeof *h);
    if (h != NULL)
        h->kind = kind;
    return h;
}

static void *new_rsa(void *provider)
{
    (void)provider;
    return half_new("RSA");
}

static void *new_ec(void *provider)
{
    (void)provider;
    return half_new("EC");
}

static void *new_ed25519(void *provider)
{
    (void)provider;
    return half_new("ED25519");
}

static void half_free(void *key)
{
    struct half *h = key;
    if (h != NULL)
        EVP_PKEY_free(h->pub);
    free(h);
}

/* The private half counts as present: it is, elsewhere. */
static int half_has(const void *key, int selection)
{
    (void)selection;
    const struct half *h = key;
    return h != NULL && h->pub != NULL;
}

static int half_match(const void *a, const void *b, int selection)
{
    (void)selection;
    const struct half *x = a, *y = b;
    return x->pub != NULL && y->pub != NULL && EVP_PKEY_eq(x->pub, y->pub) == 1;
}

static int half_import(void *key, int selection, const OSSL_PARAM params[])
{
    struct half *h = key;
    (void)selection;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, h->kind, "provider=default");
    int ok = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
             EVP_PKEY_fromdata(ctx, &h->pub, EVP_PKEY_PUBLIC_KEY,
                               (OSSL_PARAM *)(uintptr_t)params) == 1 &&
             cert_key_id(h->id, h->pub) == 0;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static const OSSL_PARAM *half_import_types(int selection)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };
    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? types : NULL;
}

/* Only the public half can be had. If it could be exported when both are asked for, libcrypto would
 * take it to another provider and try to sign there. */
static int half_export(void *key, int selection, OSSL_CALLBACK *take, void *arg)
{
    struct half *h = key;
    OSSL_PARAM *params = NULL;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 || h->pub == NULL ||
        EVP_PKEY_todata(h->pub, EVP_PKEY_PUBLIC_KEY, &params) != 1)
        return 0;
    int ok = take(params, arg);
    OSSL_PARAM_free(params);
    return ok;
}

static const OSSL_PARAM *half_export_types(int selection)
{
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : half_import_types(selection);
}

static int half_get(void *key, OSSL_PARAM params[])
{
    struct half *h = key;
    return h->pub != NULL && EVP_PKEY_get_params(h->pub, params) == 1;
}

static const OSSL_PARAM *half_gettable(void *provider)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)provider;
    return types;
}

static const char *ec_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : "EC";
}

#define FN(function) ((void (*)(void))(function))
#define KEY_FUNCTIONS(create)                                                                      \
    {OSSL_FUNC_KEYMGMT_NEW, FN(create)}, {OSSL_FUNC_KEYMGMT_FREE, FN(half_free)},                  \
        {OSSL_FUNC_KEYMGMT_HAS, FN(half_has)}, {OSSL_FUNC_KEYMGMT_MATCH, FN(half_match)},          \
        {OSSL_FUNC_KEYMGMT_IMPORT, FN(half_import)},                                               \
        {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, FN(half_import_types)},                                   \
        {OSSL_FUNC_KEYMGMT_EXPORT, FN(half_export)},                                               \
        {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, FN(half_export_types)},                                   \
        {OSSL_FUNC_KEYMGMT_GET_PARAMS, FN(half_get)},                                              \
    {                                                                                              \
        OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, FN(half_gettable)                                       \
    }

static const OSSL_DISPATCH rsa_keys[] = {KEY_FUNCTIONS(new_rsa), {0, NULL}};
static const OSSL_DISPATCH ed25519_keys[] = {KEY_FUNCTIONS(new_ed25519), {0, NULL}};
static const OSSL_DISPATCH ec_keys[] = {
    KEY_FUNCTIONS(new_ec), {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, FN(ec_operation)}, {0, NULL}};

/* --- signing (OSSL_OP_SIGNATURE) --- */

struct signing {
    const struct half *key;
    unsigned digest_bits; /* 0: none named */
    bool is_pss;
};

static void *signing_new(void *provider, const char *properties)
{
    (void)provider, (void)properties;
    return calloc(1, sizeof(struct signing));
}

static void signing_free(void *ctx)
{
    free(ctx);
}

static void *signing_dup(void *ctx)
{
    struct signing *copy = malloc(sizeof *copy);
    if (copy != NULL)
        memcpy(copy, ctx, sizeof *copy);
    return copy;
}

/* libssl sets the length of the salt to that of the digest, which is what keyd makes. */
static int signing_set(void *ctx, const OSSL_PARAM params[])
{
    struct signing *s = ctx;
    const OSSL_PARAM *mode = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
    int number = 0;
    if (mode == NULL)
        return 1;
    if (mode->data_type == OSSL_PARAM_UTF8_STRING)
        s->is_pss = mode->data != NULL && strcmp(mode->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
    else if (OSSL_PARAM_get_int(mode, &number))
        s->is_pss = number == RSA_PKCS1_PSS_PADDING;
    return 1;
}

static const OSSL_PARAM *signing_settable(void *ctx, void *provider)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)ctx, (void)provider;
    return types;
}

static unsigned digest_bits(const char *name)
{
    static const struct {
        const char *name;
        unsigned bits;
    } rows[] = {{"SHA2-256", 256}, {"SHA256", 256},   {"SHA2-384", 384},
                {"SHA384", 384},   {"SHA2-512", 512}, {"SHA512", 512}};
    for (size_t i = 0; name != NULL && i < sizeof rows / sizeof rows[0]; i++)
        if (span_ieq(span_of(name), span_of(rows[i].name)))
            return rows[i].bits;
    return 0;
}

static int signing_init(void *ctx, const char *digest, void *key, const OSSL_PARAM params[])
{
    struct signing *s = ctx;
    if (key != NULL)
        s->key = key;
    s->digest_bits = digest_bits(digest);
    return s->key != NULL && (params == NULL || signing_set(s, params));
}

/* 0: none that we know. */
static unsigned scheme_of(const struct signing *s)
{
    static const struct {
        unsigned bits, rsa, pss, ec;
    } rows[] = {{256, KEY_RSA_PKCS1_SHA256, KEY_RSA_PSS_SHA256, KEY_ECDSA_SHA256},
                {384, KEY_RSA_PKCS1_SHA384, KEY_RSA_PSS_SHA384, KEY_ECDSA_SHA384},
                {512, KEY_RSA_PKCS1_SHA512, KEY_RSA_PSS_SHA512, KEY_ECDSA_SHA512}};
    if (strcmp(s->key->kind, "ED25519") == 0)
        return KEY_ED25519;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].bits == s->digest_bits)
            return strcmp(s->key->kind, "EC") == 0 ? rows[i].ec
                   : s->is_pss                     ? rows[i].pss
                                                   : rows[i].rsa;
    return 0;
}

static int signing_sign(void *ctx, unsigned char *out, size_t *n, size_t cap,
                        const unsigned char *input, size_t input_n)
{
    struct signing *s = ctx;
    unsigned char made[TLS_SIGNATURE_MAX];
    unsigned scheme = scheme_of(s);
    int room = EVP_PKEY_get_size(s->key->pub);
    if (scheme == 0 || room <= 0 || (size_t)room > sizeof made)
        return 0;
    if (out == NULL) {
        *n = (size_t)room;
        return 1;
    }
    size_t made_n = signer.sign(signer.arg, s->key->id, (enum key_scheme)scheme,
                                (struct span){(const char *)input, input_n}, made);
    if (made_n == 0 || made_n > cap || made_n > (size_t)room) {
        ERR_raise(ERR_LIB_USER, 1); /* tls.c puts it into words */
        return 0;
    }
    memcpy(out, made, made_n);
    *n = made_n;
    return 1;
}

static const OSSL_DISPATCH signatures[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, FN(signing_new)},
    {OSSL_FUNC_SIGNATURE_FREECTX, FN(signing_free)},
    {OSSL_FUNC_SIGNATURE_DUPCTX, FN(signing_dup)},
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, FN(signing_set)},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, FN(signing_settable)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, FN(signing_init)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, FN(signing_sign)},
    {0, NULL}};

/* --- the provider --- */

static const OSSL_ALGORITHM all_keys[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_keys, "keys in keyd"},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_keys, "keys in keyd"},
    {"ED25519:1.3.101.112", PROPERTIES, ed25519_keys, "keys in keyd"},
    {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM all_signatures[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signatures, "signed by keyd"},
    {"ECDSA", PROPERTIES, signatures, "signed by keyd"},
    {"ED25519:1.3.101.112", PROPERTIES, signatures, "signed by keyd"},
    {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
    (void)provider;
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT     ? all_keys
           : operation == OSSL_OP_SIGNATURE ? all_signatures
                                            : NULL;
}

static const OSSL_DISPATCH provider_functions[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, FN(query)},
                                                   {0, NULL}};

static int provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **context)
{
    (void)core, (void)in;
    static int nothing;
    *out = provider_functions;
    *context = &nothing;
    return 1;
}

int tls_key_init(tls_sign_fn *sign, void *arg)
{
    signer.sign = sign;
    signer.arg = arg;
    /* Keys of peers are nothing for this provider: what is not asked for by name is the default's.
     */
    return OSSL_PROVIDER_load(NULL, "default") != NULL &&
                   OSSL_PROVIDER_add_builtin(NULL, PROVIDER, provider_init) == 1 &&
                   OSSL_PROVIDER_load(NULL, PROVIDER) != NULL &&
                   EVP_set_default_properties(NULL, "?provider=default") == 1
               ? 0
               : -1;
}

EVP_PKEY *tls_key_new(EVP_PKEY *public_half)
{
    static const char *const kinds[] = {"RSA", "EC", "ED25519"};
    const char *kind = NULL;
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (EVP_PKEY_is_a(public_half, kinds[i]))
            kind = kinds[i];
    EVP_PKEY_CTX *ctx = kind != NULL ? EVP_PKEY_CTX_new_from_name(NULL, kind, PROPERTIES) : NULL;
    if (ctx == NULL || EVP_PKEY_todata(public_half, EVP_PKEY_PUBLIC_KEY, &params) != 1 ||
        EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    return key;
}
