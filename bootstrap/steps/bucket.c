/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/bucket.h"

const StepRetry bucket_looks = { .first_ms = 500, .max_ms = 5000 };

static char *key_of(const Boot *boot, const char *name)
{
        const char *prefix = boot->config.s3_prefix;
        return isempty(prefix) ? string_format("%s", name) : string_format("%s/%s", prefix, name);
}

/* Puts the setting before an error of configuration: if the bucket does not exist, the line in
 * stack-config.sh is wrong. */
static int name_the_setting(const Boot *boot, Error *err, int r)
{
        return r < 0 && err->class == ERROR_CONFIG
                       ? error_prefix(err, "S3_BUCKET=%s", boot->config.s3_bucket)
                       : r;
}

int bucket_get(const Boot *boot, StepContext *context, const char *name, size_t max_bytes,
               Buffer *ret, char *ret_etag, Error *err)
{
        _cleanup_free_ char *key = key_of(boot, name);
        if (!key) {
                return error_oom(err);
        }
        int r = s3_get(boot->bucket, key, max_bytes, step_wait(context), ret, ret_etag, err);
        return name_the_setting(boot, err, r);
}

int bucket_put(const Boot *boot, StepContext *context, const char *name, const Buffer *content,
               S3Condition condition, const char *etag, Error *err)
{
        _cleanup_free_ char *key = key_of(boot, name);
        if (!key) {
                return error_oom(err);
        }
        int r = s3_put(boot->bucket, key, content->data, content->size, condition, etag,
                       step_wait(context), NULL, err);
        return name_the_setting(boot, err, r);
}

int bucket_replace(const Boot *boot, StepContext *context, const char *name, const Buffer *content,
                   const char *etag, Error *err)
{
        S3Condition condition = etag ? S3_IF_MATCH : S3_IF_ABSENT;
        return bucket_put(boot, context, name, content, condition, etag, err);
}

void bucket_index_done(BucketIndex *index)
{
        buffer_done(&index->text);
        artifacts_index_done(&index->index);
}

int bucket_get_index(const Boot *boot, StepContext *context, BucketIndex *ret, Error *err)
{
        _cleanup_bucket_index_ BucketIndex found = {};
        int r = bucket_get(boot, context, ARTIFACTS_INDEX_NAME, ARTIFACTS_INDEX_BYTES_MAX,
                           &found.text, found.etag, err);
        if (r <= 0) {
                return r;
        }
        r = artifacts_index_parse(found.text.data, found.text.size, &found.index, err);
        if (r < 0) {
                return error_prefix(err, "s3://%s", boot->config.s3_bucket);
        }
        *ret = TAKE_GENERIC(found, (BucketIndex) {});
        return 1;
}
