/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "aws/imds.h"
#include "aws/keys.h"
#include "base/error.h"
#include "base/wait.h"

typedef struct Credentials Credentials;

/* How long a fetch is retried while IMDS lists no role, or gives credentials that are not
 * "Success". The time counts from the first such answer. IMDS lists the role of a new instance
 * late. */
#define CREDENTIALS_GRACE_MS 60000

/* Makes credentials of the role that IMDS names. The keys are fetched when first needed, and again
 * from 5 minutes before they expire. If the role (-ENOENT) or its credentials are missing for
 * longer than CREDENTIALS_GRACE_MS, a fetch fails with ERROR_CONFIG from AWS. */
int credentials_new_imds(Imds *imds, Credentials **ret, Error *err);
/* Fixed keys (copied): for tests. */
int credentials_new_static(const char *access_key_id, const char *secret, const char *token,
                           Credentials **ret, Error *err);
void credentials_free(Credentials *credentials);

/* Returns a copy of valid keys. Thread-safe: one thread fetches, the others wait for it. */
int credentials_get(Credentials *credentials, const Wait *wait, AwsKeys *ret, Error *err);

/* Called when AWS refused these keys: the next call fetches new ones. Returns false if there can be
 * no new ones (fixed keys), else true. Does nothing if another thread has replaced the keys
 * already. */
bool credentials_invalidate(Credentials *credentials, const AwsKeys *refused);
