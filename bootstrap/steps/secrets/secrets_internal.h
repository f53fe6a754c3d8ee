/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/bucket.h"
#include "steps/volume/volume_identity.h"

/* What the files of the secrets step share. */

#define SECRETS_INDEX_FILE SECRETS_DIR "/" ARTIFACTS_INDEX_NAME
#define SECRETS_SIZE_BYTES ((uint64_t) 16 << 20)

/* Returns 1 if SECRETS_DIR is the tmpfs that it should be and holds the files that this index names
 * for this machine's role, else 0. */
int secrets_are_installed(const Boot *boot, StepContext *context, const BucketIndex *index,
                          Error *err);

/* Fetches the files that the index names for this machine's role, and installs them once every
 * digest is right. Removes files that an earlier index named and this one does not. If a digest is
 * wrong, reads the index once more, because it may have been replaced meanwhile (*index is the new
 * one then); if that does not help, it is ERROR_UNSAFE and nothing is written. */
int secrets_install(const Boot *boot, StepContext *context, BucketIndex *index, Error *err);

/* The state of volume and bucket, as lineage_decide() needs it. */
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

/* Reads the state of volume and bucket; writes nothing. *ret must be zero or done. */
int secrets_look(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err);

unsigned secrets_flags(const Boot *boot); /* LineageFlag */

/* Makes identity, claim, files and index, in this order, for LINEAGE_BEGIN, RESUME and TAKE_OVER.
 * Returns 1 once the index is written; 0 if another instance was faster: look again. */
int secrets_make(Boot *boot, StepContext *context, const SecretsScene *scene, Error *err);
