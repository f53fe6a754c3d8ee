/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "aws/s3.h"
#include "base/string.h"
#include "cluster/artifacts.h"
#include "cluster/lineage.h"
#include "steps/boot.h"

/* What the files of the secrets step share. */

#define SECRETS_INDEX_FILE SECRETS_DIR "/" ARTIFACTS_INDEX_NAME
#define SECRETS_SIZE_BYTES ((uint64_t) 16 << 20)

/* How often a bucket is looked at again: what it costs is a GET. */
#define SECRETS_POLL_FIRST_MS 500
#define SECRETS_POLL_MAX_MS   5000

/* One object below S3_PREFIX; as s3_get() and s3_put(). */
int secrets_get(const Boot *boot, StepContext *context, const char *name, size_t max_bytes,
                Buffer *ret, char *ret_etag, Error *err);
int secrets_put(const Boot *boot, StepContext *context, const char *name, const Buffer *content,
                S3Condition condition, const char *etag, Error *err);

/* Does job 0 to n - 1, a few at once, in any order; 0, or the first failure, after which none is
 * begun. */
typedef int SecretsJob(void *userdata, size_t i, Error *err);
int secrets_transfer(size_t n, SecretsJob *job, void *userdata, Error *err);

/* The index as it lies in the bucket. */
typedef struct SecretsIndex {
        Buffer text;
        char etag[S3_ETAG_MAX];
        ArtifactsIndex index;
} SecretsIndex;

void secrets_index_done(SecretsIndex *index);
#define _cleanup_secrets_index_ _cleanup_(secrets_index_done)

/* 1, or 0 if there is none. *ret must be zero or done. */
int secrets_get_index(const Boot *boot, StepContext *context, SecretsIndex *ret, Error *err);

/* Whether SECRETS_DIR is the tmpfs it should be, and holds what this index names for this machine's
 * role: 1 or 0. */
int secrets_are_installed(const Boot *boot, const SecretsIndex *index, Error *err);

/* Fetches what the index names for this machine's role, and puts it there once every digest is
 * right; what an earlier index brought and this one does not name goes. Where a digest is wrong the
 * index is read once more, for it may have been replaced meanwhile (*index then is the new one);
 * else ERROR_UNSAFE, and nothing is written. */
int secrets_install(const Boot *boot, StepContext *context, SecretsIndex *index, Error *err);

/* Volume and bucket, as the decision wants them. */
typedef struct SecretsScene {
        LineageScene scene; /* points into the rest */
        LineageIdentity identity;
        SecretsIndex index;
        Claim claim; /* looked for only where it matters */
        char claim_etag[S3_ETAG_MAX];
        char holder_state[24];
        char url[160];
} SecretsScene;

void secrets_scene_done(SecretsScene *scene);
#define _cleanup_secrets_scene_ _cleanup_(secrets_scene_done)

/* The volume alone: identity and etcd member. -ENOENT (ERROR_RETRY) where it is not mounted. */
int secrets_look_at_volume(SecretsScene *ret, Error *err);

/* Looks; writes nothing. *ret must be zero or done. */
int secrets_look(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err);

unsigned secrets_flags(const Boot *boot); /* LineageFlag */

/* Refuses settings that are not those of the volume's cluster. */
int secrets_check_settings(const StackConfig *config, const SecretsScene *scene, Error *err);

/* The identity file on the volume. */
int secrets_write_identity(const LineageIdentity *identity, Error *err);

/* For LINEAGE_BEGIN, RESUME, TAKE_OVER: identity, claim, files, index, in this order. 1 once the
 * index is written; 0 where another was faster: to be looked at again. */
int secrets_make(const Boot *boot, StepContext *context, const SecretsScene *scene, Error *err);
