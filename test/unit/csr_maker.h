/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Certificate requests as kubelet makes them, and as it never would. */

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>

typedef struct Wanted {
        const char *common_name; /* NULL: none */
        const char *organization;
        const char *second_organization;
        const char *alternative_names; /* "DNS:…" */
        int string_type;               /* 0: MBSTRING_ASC */
        int common_name_bytes;         /* 0: to its end */
        bool other_key;                /* signed with another key than it is for */
        const char *behind;            /* stands after the request */
        EVP_PKEY *key;                 /* NULL: a new one */
} Wanted;

/* A CertificateSigningRequest as the API server shows it: by the holder of a token of nodes. */
json_t *csr_object(const char *name, const char *created, const Wanted *wanted);

/* Adds a proof of identity by this access key, as old as age_s. Its signature is no signature. */
void csr_prove(json_t *object, const char *key, int age_s);

/* Other groups, username or usages: an array of strings as JSON. */
void csr_set(json_t *object, const char *member, const char *json);
