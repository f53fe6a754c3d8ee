/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate_maker.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

X509 *make_certificate(const char *name, const char *san, EVP_PKEY *key, X509 *issuer,
                       EVP_PKEY *issuer_key)
{
        X509 *x = X509_new();
        (void) X509_set_version(x, X509_VERSION_3);
        (void) ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
        (void) X509_gmtime_adj(X509_getm_notBefore(x), -60);
        (void) X509_gmtime_adj(X509_getm_notAfter(x), 3600);
        (void) X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                          (const unsigned char *) name, -1, -1, 0);
        (void) X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
        (void) X509_set_pubkey(x, key);
        X509_EXTENSION *extension =
                X509V3_EXT_conf_nid(NULL, NULL, san ? NID_subject_alt_name : NID_basic_constraints,
                                    san      ? san
                                    : issuer ? "CA:FALSE"
                                             : "critical,CA:TRUE");
        if (!extension || !X509_add_ext(x, extension, -1) ||
            !X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256())) {
                abort();
        }
        X509_EXTENSION_free(extension);
        return x;
}

char *to_pem(X509 *certificate, EVP_PKEY *key)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        if (certificate) {
                (void) PEM_write_bio_X509(bio, certificate);
        } else {
                (void) PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
        }
        long n = BIO_get_mem_data(bio, &data);
        char *pem = strndup(data, (size_t) n);
        (void) BIO_free(bio);
        return pem;
}

SSL_CTX *make_context(X509 *certificate, EVP_PKEY *key, X509 *ca)
{
        SSL_CTX *context = SSL_CTX_new(TLS_server_method());
        X509_STORE *store = SSL_CTX_get_cert_store(context);
        if (SSL_CTX_use_certificate(context, certificate) != 1 ||
            SSL_CTX_use_PrivateKey(context, key) != 1 || X509_STORE_add_cert(store, ca) != 1) {
                abort();
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL); /* asked for, not demanded */
        (void) SSL_CTX_set_session_id_context(context, (const unsigned char *) "t", 1);
        return context;
}
