/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"

/* Tokens with which a node asks for its kubelet's certificate, and the document a node finds one
 * in:
 * {"schema":1,"token":"abcdef.0123456789abcdef","expires":"2026-02-03T04:05:06Z"}
 * https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/ */

#define JOIN_DOCUMENT_BYTES_MAX ((size_t) 1024)
#define JOIN_NAMESPACE          "kube-system"
#define JOIN_SECRET_TYPE        "bootstrap.kubernetes.io/token"

typedef struct JoinToken {
        char id[7];      /* not secret: part of the Secret's and the user's name */
        char secret[17]; /* 80 random bits */
        time_t expires;
} JoinToken;

void join_token_done(JoinToken *token); /* wipes */
#define _cleanup_join_token_ _cleanup_(join_token_done)

/* Makes a new token that expires after life_s seconds. */
int join_token_new(time_t now, unsigned life_s, JoinToken *ret, Error *err);

/* join_token_is_fresh() returns true if at least half of the token's life is left.
 * join_token_is_alive() returns true if enough time is left to use the token.
 * join_token_left_s() returns the number of seconds for which the token stays alive, 0 or less if
 * it is not alive. */
bool join_token_is_fresh(const JoinToken *token, time_t now, unsigned life_s);
bool join_token_is_alive(const JoinToken *token, time_t now);
time_t join_token_left_s(const JoinToken *token, time_t now);

/* join_document_format() appends the document to *ret. join_document_parse() reads it strictly; a
 * document of another form is ERROR_RETRY (-EBADMSG), because the master renews it. */
int join_document_format(const JoinToken *token, Secret *ret, Error *err);
int join_document_parse(const void *data, size_t n, JoinToken *ret, Error *err);

/* Writes the name of the token's Secret, "bootstrap-token-abcdef"; ret: 32 bytes. */
void join_secret_name(const JoinToken *token, char ret[32]);

/* Returns the Secret that makes the API server know the token, or NULL when out of memory. The
 * token's holder is a member of CSR_GROUP_NODE, and so may ask for certificates. */
json_t *join_secret_new(const JoinToken *token);
