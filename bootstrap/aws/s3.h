/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "aws/client.h"
#include "base/error.h"
#include "base/string.h"
#include "base/wait.h"

/* One S3 bucket. The bucket's region is found automatically: after a 301, 307 or 400 with
 * x-amz-bucket-region, the request is sent to that region once, and the region is remembered.
 * Addresses are virtual-hosted style, or path style if the endpoint is overridden or the bucket's
 * name has a dot. */
typedef struct S3Bucket S3Bucket;

/* owner is the account (twelve digits) that the bucket must belong to. Every request names it, and
 * S3 refuses a bucket of any other account: bucket names are global, and another account may take
 * the name of a deleted bucket.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
 * kms_key_id: NULL or "" leaves encryption to the bucket's default, else aws:kms with that key. */
int s3_bucket_new(AwsClient *client, const char *name, const char *owner, const char *kms_key_id,
                  S3Bucket **ret, Error *err);
void s3_bucket_free(S3Bucket *bucket);
DEFINE_CLEANUP(S3Bucket *, s3_bucket_free);
#define _cleanup_s3_bucket_ _cleanup_(s3_bucket_freep)

#define S3_ETAG_MAX 128

/* Appends the object's content to *ret. Returns 1, or 0 if there is no such key (404). A 403 is
 * ERROR_DENIED, and the message says that a missing key looks the same if ListBucket is not
 * allowed. NoSuchBucket is ERROR_RETRY for a minute, then ERROR_CONFIG. ret_etag (S3_ETAG_MAX
 * bytes) may be NULL. */
int s3_get(S3Bucket *bucket, const char *key, size_t max_bytes, const Wait *wait, Buffer *ret,
           char *ret_etag, Error *err);

typedef enum S3Condition {
        S3_UNCONDITIONAL,
        S3_IF_ABSENT, /* If-None-Match: * */
        S3_IF_MATCH,  /* If-Match: etag */
        _S3_CONDITION_MAX,
        _S3_CONDITION_INVALID = -EINVAL,
} S3Condition;

/* Writes an object. Returns 1 if it was written, 0 if the condition did not hold (412, or 404 for
 * If-Match). The object's SHA-256 is sent with it, because a bucket with Object Lock demands that
 * for each write. 409 (two writers at once) is retried. If the answer to a write is lost, the retry
 * may return 0 although the object was written: callers that use a condition read the object back
 * and check whether it is theirs.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */
int s3_put(S3Bucket *bucket, const char *key, const void *data, size_t n, S3Condition condition,
           const char *etag, const Wait *wait, char *ret_etag, Error *err);
