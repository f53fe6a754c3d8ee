/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

DEFINE_CLEANUP(BIO *, BIO_free_all);
DEFINE_CLEANUP(X509_NAME *, X509_NAME_free);
DEFINE_CLEANUP(X509_REQ *, X509_REQ_free);
DEFINE_CLEANUP(GENERAL_NAME *, GENERAL_NAME_free);
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free);
DEFINE_CLEANUP(EXTENDED_KEY_USAGE *, EXTENDED_KEY_USAGE_free);
DEFINE_CLEANUP(BASIC_CONSTRAINTS *, BASIC_CONSTRAINTS_free);
DEFINE_CLEANUP(ASN1_BIT_STRING *, ASN1_BIT_STRING_free);
DEFINE_CLEANUP(ASN1_OCTET_STRING *, ASN1_OCTET_STRING_free);
DEFINE_CLEANUP(AUTHORITY_KEYID *, AUTHORITY_KEYID_free);
DEFINE_CLEANUP(BIGNUM *, BN_free);

/* Bits of KeyUsage, RFC 5280, 4.2.1.3. */
enum { KEY_USAGE_DIGITAL_SIGNATURE = 0, KEY_USAGE_CERT_SIGN = 5, KEY_USAGE_CRL_SIGN = 6 };

/* Reports OpenSSL's own reason. With valid arguments, OpenSSL fails only if memory or randomness is
 * short. */
static int openssl_failed(Error *err, const char *what)
{
        char reason[160];
        ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
        ERR_clear_error();
        return error_set(err, ERROR_FATAL, EIO, "%s: %s", what, reason);
}

int certificate_key_new(EVP_PKEY **ret, Error *err)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        if (!key) {
                return openssl_failed(err, "make a key");
        }
        *ret = key;
        return 0;
}

/* 159 random bits: positive, and at most 20 octets (RFC 5280, 4.1.2.2). */
static bool set_serial(X509 *x)
{
        _cleanup_(BN_freep) BIGNUM *serial = BN_new();
        return serial && BN_rand(serial, 159, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
               BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x));
}

/* A Node's user has up to 75 characters. RFC 5280 allows 64 in a common name, and OpenSSL refuses
 * more of an MBSTRING; Kubernetes has no such limit. */
static bool add_name_entry(X509_NAME *name, int nid, const char *value)
{
        return !value || X509_NAME_add_entry_by_NID(name, nid, V_ASN1_UTF8STRING,
                                                    (const unsigned char *) value, -1, -1, 0);
}

/* Returns the subject's name, or NULL. The caller frees it. */
static X509_NAME *subject_new(const char *organization, const char *common_name)
{
        _cleanup_(X509_NAME_freep) X509_NAME *name = X509_NAME_new();
        return name && add_name_entry(name, NID_organizationName, organization) &&
                               add_name_entry(name, NID_commonName, common_name)
                       ? TAKE(name)
                       : NULL;
}

static bool set_subject(X509 *x, const CertificateRequest *request)
{
        _cleanup_(X509_NAME_freep) X509_NAME *name =
                subject_new(request->organization, request->common_name);
        return name && X509_set_subject_name(x, name);
}

static bool set_validity(X509 *x, const CertificateRequest *request, X509 *issuer)
{
        time_t now = request->now;
        if (!ASN1_TIME_adj(X509_getm_notBefore(x), now, 0, -CERTIFICATE_BACKDATE_S) ||
            !ASN1_TIME_adj(X509_getm_notAfter(x), now, (int) request->days, 0)) {
                return false;
        }
        const ASN1_TIME *limit = issuer ? X509_get0_notAfter(issuer) : NULL;
        return !limit || ASN1_TIME_compare(X509_get0_notAfter(x), limit) <= 0 ||
               X509_set1_notAfter(x, limit);
}

static bool add_constraints(X509 *x, bool authority)
{
        _cleanup_(BASIC_CONSTRAINTS_freep) BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
        if (!constraints) {
                return false;
        }
        if (authority) {
                constraints->ca = 0xff;
                constraints->pathlen = ASN1_INTEGER_new(); /* 0: leaves only */
                if (!constraints->pathlen || !ASN1_INTEGER_set(constraints->pathlen, 0)) {
                        return false;
                }
        }
        return X509_add1_ext_i2d(x, NID_basic_constraints, constraints, 1, X509V3_ADD_DEFAULT) == 1;
}

static bool add_key_usage(X509 *x, bool authority)
{
        _cleanup_(ASN1_BIT_STRING_freep) ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
        if (!bits) {
                return false;
        }
        bool set = authority ? ASN1_BIT_STRING_set_bit(bits, KEY_USAGE_CERT_SIGN, 1) &&
                                       ASN1_BIT_STRING_set_bit(bits, KEY_USAGE_CRL_SIGN, 1)
                             : ASN1_BIT_STRING_set_bit(bits, KEY_USAGE_DIGITAL_SIGNATURE, 1);
        return set && X509_add1_ext_i2d(x, NID_key_usage, bits, 1, X509V3_ADD_DEFAULT) == 1;
}

static bool add_extended_usage(X509 *x, unsigned usage)
{
        if (!usage) {
                return true;
        }
        _cleanup_(EXTENDED_KEY_USAGE_freep) EXTENDED_KEY_USAGE *list = sk_ASN1_OBJECT_new_null();
        /* OBJ_nid2obj() hands out static objects: freeing the list leaves them alone. */
        if (!list ||
            (usage & CERTIFICATE_SERVER &&
             !sk_ASN1_OBJECT_push(list, OBJ_nid2obj(NID_server_auth))) ||
            (usage & CERTIFICATE_CLIENT &&
             !sk_ASN1_OBJECT_push(list, OBJ_nid2obj(NID_client_auth)))) {
                return false;
        }
        return X509_add1_ext_i2d(x, NID_ext_key_usage, list, 0, X509V3_ADD_DEFAULT) == 1;
}

static bool set_name_value(GENERAL_NAME *name, const char *text)
{
        if (string_starts_with(text, "DNS:")) {
                ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
                GENERAL_NAME_set0_value(name, GEN_DNS, dns);
                return dns && ASN1_STRING_set(dns, text + 4, -1);
        }
        if (string_starts_with(text, "IP:")) {
                ASN1_OCTET_STRING *address = a2i_IPADDRESS(text + 3);
                GENERAL_NAME_set0_value(name, GEN_IPADD, address);
                return address;
        }
        return false;
}

static bool add_alternative_names(X509 *x, const StringList *names, bool critical)
{
        if (!names || names->n == 0) {
                return true;
        }
        _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *list = GENERAL_NAMES_new();
        if (!list) {
                return false;
        }
        for (size_t i = 0; i < names->n; i++) {
                _cleanup_(GENERAL_NAME_freep) GENERAL_NAME *name = GENERAL_NAME_new();
                if (!name || !set_name_value(name, names->items[i]) ||
                    !sk_GENERAL_NAME_push(list, name)) {
                        return false;
                }
                name = NULL; /* the list owns it now */
        }
        return X509_add1_ext_i2d(x, NID_subject_alt_name, list, critical, X509V3_ADD_DEFAULT) == 1;
}

/* Adds key identifiers, which distinguish a CA from a later one of the same name. */
static bool add_key_identifiers(X509 *x, X509 *issuer)
{
        unsigned char sha1[EVP_MAX_MD_SIZE];
        unsigned n = 0;
        _cleanup_(ASN1_OCTET_STRING_freep) ASN1_OCTET_STRING *own = ASN1_OCTET_STRING_new();
        if (!own || !X509_pubkey_digest(x, EVP_sha1(), sha1, &n) ||
            !ASN1_OCTET_STRING_set(own, sha1, (int) n) ||
            X509_add1_ext_i2d(x, NID_subject_key_identifier, own, 0, X509V3_ADD_DEFAULT) != 1) {
                return false;
        }
        _cleanup_(AUTHORITY_KEYID_freep) AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
        if (!authority) {
                return false;
        }
        const ASN1_OCTET_STRING *theirs = issuer ? X509_get0_subject_key_id(issuer) : own;
        authority->keyid = theirs ? ASN1_OCTET_STRING_dup(theirs) : NULL;
        return authority->keyid && X509_add1_ext_i2d(x, NID_authority_key_identifier, authority, 0,
                                                     X509V3_ADD_DEFAULT) == 1;
}

static bool add_extensions(X509 *x, const CertificateRequest *request, X509 *issuer)
{
        return add_constraints(x, request->authority) && add_key_usage(x, request->authority) &&
               add_extended_usage(x, request->usage) && add_key_identifiers(x, issuer) &&
               add_alternative_names(x, request->names, !request->common_name);
}

int certificate_issue(const CertificateRequest *request, EVP_PKEY *key, X509 *issuer,
                      EVP_PKEY *issuer_key, X509 **ret, Error *err)
{
        _cleanup_x509_ X509 *x = X509_new();
        const X509 *signer = issuer ? issuer : x;
        EVP_PKEY *signer_key = issuer ? issuer_key : key;
        if (!x || !X509_set_version(x, X509_VERSION_3) || !set_serial(x) ||
            !set_subject(x, request) || !X509_set_issuer_name(x, X509_get_subject_name(signer)) ||
            !set_validity(x, request, issuer) || !X509_set_pubkey(x, key) ||
            !add_extensions(x, request, issuer) || !X509_sign(x, signer_key, EVP_sha256())) {
                return openssl_failed(err, "make a certificate");
        }
        *ret = TAKE(x);
        return 0;
}

static int bio_to_buffer(BIO *bio, Buffer *ret, Error *err)
{
        char *data = NULL;
        long n = BIO_get_mem_data(bio, &data);
        return buffer_append(ret, data, (size_t) n) < 0 ? error_oom(err) : 0;
}

int certificate_request_to_pem(EVP_PKEY *key, const char *common_name, const char *organization,
                               Buffer *ret, Error *err)
{
        _cleanup_(X509_REQ_freep) X509_REQ *request = X509_REQ_new();
        _cleanup_(X509_NAME_freep) X509_NAME *name = subject_new(organization, common_name);
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
        if (!request || !name || !bio || !X509_REQ_set_version(request, X509_REQ_VERSION_1) ||
            !X509_REQ_set_subject_name(request, name) || !X509_REQ_set_pubkey(request, key) ||
            !X509_REQ_sign(request, key, EVP_sha256()) || !PEM_write_bio_X509_REQ(bio, request)) {
                return openssl_failed(err, "make a certificate request");
        }
        return bio_to_buffer(bio, ret, err);
}

int certificate_to_pem(X509 *certificate, Buffer *ret, Error *err)
{
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
        if (!bio || !PEM_write_bio_X509(bio, certificate)) {
                return openssl_failed(err, "write a certificate");
        }
        return bio_to_buffer(bio, ret, err);
}

int certificate_key_to_pem(EVP_PKEY *key, Secret *ret, Error *err)
{
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
        if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
                return openssl_failed(err, "write a private key");
        }
        return bio_to_buffer(bio, ret, err);
}

int certificate_public_key_to_pem(EVP_PKEY *key, Buffer *ret, Error *err)
{
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
        if (!bio || !PEM_write_bio_PUBKEY(bio, key)) {
                return openssl_failed(err, "write a public key");
        }
        return bio_to_buffer(bio, ret, err);
}

int certificate_fingerprint(const X509 *certificate, char ret[65], Error *err)
{
        unsigned char sha256[EVP_MAX_MD_SIZE];
        unsigned n = 0;
        if (!X509_digest(certificate, EVP_sha256(), sha256, &n)) {
                return openssl_failed(err, "fingerprint of a certificate");
        }
        string_hex(sha256, n, ret);
        return 0;
}
