/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Certificates for the tests' servers and their clients. */

#include <openssl/ssl.h>
#include <openssl/x509.h>

/* A certificate for an hour, with the alternative names or none; without an issuer it is its own.
 */
X509 *make_certificate(const char *name, const char *san, EVP_PKEY *key, X509 *issuer,
                       EVP_PKEY *issuer_key);

/* The certificate, or the key if there is none, in PEM, malloc'ed. */
char *to_pem(X509 *certificate, EVP_PKEY *key);

/* A server's context, which asks for a certificate of that authority. */
SSL_CTX *make_context(X509 *certificate, EVP_PKEY *key, X509 *ca);
