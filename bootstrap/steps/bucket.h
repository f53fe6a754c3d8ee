/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "aws/s3.h"
#include "base/string.h"
#include "cluster/artifacts.h"
#include "steps/boot.h"

/* The cluster's part of its bucket: what lies below S3_PREFIX. */

/* How often the bucket is looked at again while something is missing: a look costs one GET. */
extern const StepRetry bucket_looks;

/* Read and write one object, as s3_get() and s3_put() do. The error of a bucket that does not exist
 * names the setting. */
int bucket_get(const Boot *boot, StepContext *context, const char *name, size_t max_bytes,
               Buffer *ret, char *ret_etag, Error *err);
int bucket_put(const Boot *boot, StepContext *context, const char *name, const Buffer *content,
               S3Condition condition, const char *etag, Error *err);

/* Writes only over the object with this ETag or, if etag is NULL, only if there is no object.
 * Returns as s3_put() does. */
int bucket_replace(const Boot *boot, StepContext *context, const char *name, const Buffer *content,
                   const char *etag, Error *err);

/* The index as it lies in the bucket. */
typedef struct BucketIndex {
        Buffer text;
        char etag[S3_ETAG_MAX];
        ArtifactsIndex index;
} BucketIndex;

void bucket_index_done(BucketIndex *index);
#define _cleanup_bucket_index_ _cleanup_(bucket_index_done)

/* Returns 1, or 0 if there is none. *ret must be zero or done. */
int bucket_get_index(const Boot *boot, StepContext *context, BucketIndex *ret, Error *err);
