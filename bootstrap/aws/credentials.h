/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "aws/imds.h"
#include "aws/keys.h"
#include "base/error.h"
#include "base/wait.h"

typedef struct Credentials Credentials;

/* How long a role that IMDS does not list, and credentials that are no "Success", are asked for
 * again, since they were first seen so: IMDS lists the role of a young instance late. */
#define CREDENTIALS_GRACE_MS 60000

/* The role's credentials from IMDS: fetched when first needed, again from 5 minutes before they
 * expire. A role (-ENOENT) or credentials that are missing for longer than CREDENTIALS_GRACE_MS are
 * ERROR_CONFIG from AWS. */
int credentials_new_imds(Imds *imds, Credentials **ret, Error *err);
/* Fixed keys (copied): for tests. */
int credentials_new_static(const char *access_key_id, const char *secret, const char *token,
                           Credentials **ret, Error *err);
void credentials_free(Credentials *credentials);

/* A copy of valid keys. Thread-safe; one thread fetches, the others wait for it. */
int credentials_get(Credentials *credentials, const Wait *wait, AwsKeys *ret, Error *err);

/* AWS refused these keys: fetch new ones at the next call. False if there can be no new ones
 * (fixed keys). Another thread may have seen to it already: then nothing changes, and it is true.
 */
bool credentials_invalidate(Credentials *credentials, const AwsKeys *refused);
