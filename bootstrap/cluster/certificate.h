/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/string.h"

/* X.509 certificates on ECDSA P-256, as RFC 5280 wants them, with OpenSSL. Kubernetes'
 * requirements: https://kubernetes.io/docs/setup/best-practices/certificates/ */

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(X509 *, X509_free);
#define _cleanup_key_  _cleanup_(EVP_PKEY_freep) /* OpenSSL wipes what it frees */
#define _cleanup_x509_ _cleanup_(X509_freep)

typedef enum CertificateUsage {
        CERTIFICATE_CLIENT = 1 << 0,
        CERTIFICATE_SERVER = 1 << 1,
} CertificateUsage;

/* notBefore lies this long in the past: a reader's clock may be behind. */
#define CERTIFICATE_BACKDATE_S 300

typedef struct CertificateRequest {
        const char *common_name;  /* NULL: an empty name; the alternative names are then critical
                                     (RFC 5280, 4.2.1.6). In ASCII */
        const char *organization; /* NULL: none; a group, for Kubernetes */
        bool authority;           /* may sign leaves, and only leaves */
        unsigned usage;           /* of a leaf: exactly these extended key usages */
        const StringList *names;  /* alternative names: "DNS:localhost", "IP:127.0.0.1" */
        time_t now;
        unsigned days; /* a leaf never outlives its issuer */
} CertificateRequest;

/* Makes a new key from OpenSSL's random generator, which the kernel seeds. The caller frees it. */
int certificate_key_new(EVP_PKEY **ret, Error *err);

/* Makes a certificate for the public half of key, signed by the issuer, or by key itself if issuer
 * is NULL. The caller frees it. */
int certificate_issue(const CertificateRequest *request, EVP_PKEY *key, X509 *issuer,
                      EVP_PKEY *issuer_key, X509 **ret, Error *err);

/* Appends a request for a certificate of the key (PKCS#10, RFC 2986) in PEM to *ret. Its subject is
 * the organization and the common name, and it asks for nothing else. */
int certificate_request_to_pem(EVP_PKEY *key, const char *common_name, const char *organization,
                               Buffer *ret, Error *err);

/* Append PEM to *ret. The private key is PKCS#8 without a passphrase. */
int certificate_to_pem(X509 *certificate, Buffer *ret, Error *err);
int certificate_key_to_pem(EVP_PKEY *key, Secret *ret, Error *err);
int certificate_public_key_to_pem(EVP_PKEY *key, Buffer *ret, Error *err);

/* SHA-256 of the DER form, 64 hexadecimal digits. */
int certificate_fingerprint(const X509 *certificate, char ret[65], Error *err);

/* Read the first certificate, or private key, of a PEM text. The caller frees it. Text that cannot
 * be read is ERROR_FATAL (-EBADMSG). */
int certificate_from_pem(const void *pem, size_t n, X509 **ret, Error *err);
int certificate_key_from_pem(const void *pem, size_t n, EVP_PKEY **ret, Error *err);

typedef struct CertificateInfo {
        char common_name[128]; /* "" if none */
        StringList organizations;
        StringList names; /* as in CertificateRequest */
        unsigned usage;   /* extended key usages, CertificateUsage */
        bool other_usage; /* has further ones */
        bool authority;
        time_t not_before, not_after;
        char sha256[65];
} CertificateInfo;

void certificate_info_done(CertificateInfo *info);
#define _cleanup_certificate_info_ _cleanup_(certificate_info_done)

/* Reads the fields of a certificate. */
int certificate_inspect(X509 *certificate, CertificateInfo *ret, Error *err);

/* certificate_is_signed_by() returns true if the authority's name and key signed the certificate.
 * certificate_has_key() returns true if the private key belongs to it. */
bool certificate_is_signed_by(X509 *certificate, X509 *authority);
bool certificate_has_key(const X509 *certificate, const EVP_PKEY *key);
