/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/bucket.h"
#include "steps/volume/volume_identity.h"

/* What the files of the secrets step share. */

#define SECRETS_INDEX_FILE SECRETS_DIR "/" ARTIFACTS_INDEX_NAME
#define SECRETS_SIZE_BYTES ((uint64_t) 16 << 20)

/* Whether SECRETS_DIR is the tmpfs it should be, and holds what this index names for this machine's
 * role: 1 or 0. */
int secrets_are_installed(const Boot *boot, StepContext *context, const BucketIndex *index,
                          Error *err);

/* Fetches what the index names for this machine's role, and puts it there once every digest is
 * right; what an earlier index brought and this one does not name goes. Where a digest is wrong the
 * index is read once more, for it may have been replaced meanwhile (*index then is the new one);
 * else ERROR_UNSAFE, and nothing is written. */
int secrets_install(const Boot *boot, StepContext *context, BucketIndex *index, Error *err);

/* Volume and bucket, as the decision wants them. */
typedef struct SecretsScene {
        LineageScene scene; /* points into the rest */
        VolumeIdentity volume;
        BucketIndex index;
        Claim claim; /* looked for only where it matters */
        char claim_etag[S3_ETAG_MAX];
        char holder_state[24];
        char url[160];
} SecretsScene;

void secrets_scene_done(SecretsScene *scene);
#define _cleanup_secrets_scene_ _cleanup_(secrets_scene_done)

/* Looks; writes nothing. *ret must be zero or done. */
int secrets_look(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err);

unsigned secrets_flags(const Boot *boot); /* LineageFlag */

/* For LINEAGE_BEGIN, RESUME, TAKE_OVER: identity, claim, files, index, in this order. 1 once the
 * index is written; 0 where another was faster: to be looked at again. */
int secrets_make(const Boot *boot, StepContext *context, const SecretsScene *scene, Error *err);
