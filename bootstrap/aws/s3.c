/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/s3.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/errors.h"
#include "aws/s3_internal.h"
#include "aws/sigv4.h"
#include "base/base64.h"
#include "base/digest.h"

#define KEY_MAX    1024
#define REGION_MAX 64
#define OWNER_MAX  13

/* Headers of a put; every request has one more, the owner's. */
#define PUT_HEADERS_MAX 5
#define HEADERS_MAX     (PUT_HEADERS_MAX + 1)

struct S3Bucket {
        AwsClient *client;
        char name[64];
        char owner[OWNER_MAX];
        char *kms_key_id; /* NULL: the bucket's default */
        pthread_mutex_t mutex;
        char region[REGION_MAX]; /* "": the client's, as far as known */
};

/* One request to the bucket, whatever the bucket's region. */
typedef struct Request {
        const char *operation; /* as IAM names it */
        const char *method;
        const char *key;
        const HttpHeader *headers;
        size_t n_headers;
        const void *body;
        size_t body_size;
        size_t reply_max;
} Request;

/* https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
static bool is_bucket_name(const char *s)
{
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.");
        return !s[n] && n >= 3 && n <= 63 && !strchr("-.", s[0]) && !strchr("-.", s[n - 1]) &&
               !strstr(s, "..");
}

int s3_bucket_new(AwsClient *client, const char *name, const char *owner, const char *kms_key_id,
                  S3Bucket **ret, Error *err)
{
        if (strlen(owner) != OWNER_MAX - 1 || strspn(owner, "0123456789") != OWNER_MAX - 1) {
                return error_set(err, ERROR_FATAL, EINVAL, "\"%.100s\" is no AWS account", owner);
        }
        if (!is_bucket_name(name)) {
                return error_set(err, ERROR_CONFIG, EINVAL, "\"%.100s\" is no S3 bucket name",
                                 name);
        }
        S3Bucket *bucket = calloc(1, sizeof(*bucket));
        char *key = isempty(kms_key_id) ? NULL : strdup(kms_key_id);
        if (!bucket || (!isempty(kms_key_id) && !key)) {
                free(bucket);
                free(key);
                return error_oom(err);
        }
        bucket->client = client;
        bucket->kms_key_id = key;
        memcpy(bucket->name, name, strlen(name) + 1);
        memcpy(bucket->owner, owner, OWNER_MAX);
        (void) pthread_mutex_init(&bucket->mutex, NULL); /* cannot fail with default attributes */
        *ret = bucket;
        return 0;
}

void s3_bucket_free(S3Bucket *bucket)
{
        if (bucket) {
                (void) pthread_mutex_destroy(&bucket->mutex);
                free(bucket->kms_key_id);
                free(bucket);
        }
}

int s3_url(const Endpoint *endpoint, const char *bucket, const char *key, Buffer *ret)
{
        bool by_path = endpoint->overridden || strchr(bucket, '.');
        const char *host = strstr(endpoint->url, "://") + 3;
        int r = by_path ? buffer_append_format(ret, "%s/%s/", endpoint->url, bucket)
                        : buffer_append_format(ret, "%.*s%s.%s/", (int) (host - endpoint->url),
                                               endpoint->url, bucket, host);
        return r < 0 ? r : sigv4_uri_encode(key, true, ret);
}

static void s3_add_header(HttpHeader *headers, size_t *n, const char *name, const char *value)
{
        headers[(*n)++] = (HttpHeader) { (char *) (uintptr_t) name, (char *) (uintptr_t) value };
}

static int send_to(const S3Bucket *bucket, const char *region, const Request *request,
                   const char *resource, const Wait *wait, HttpReply *ret, Error *err)
{
        _cleanup_buffer_ Buffer url = {};
        HttpHeader headers[HEADERS_MAX];
        size_t n_headers = 0;
        Endpoint endpoint;
        for (size_t i = 0; i < request->n_headers; i++) {
                headers[n_headers++] = request->headers[i];
        }
        s3_add_header(headers, &n_headers, "x-amz-expected-bucket-owner", bucket->owner);
        int r = aws_client_endpoint(bucket->client, "s3", region, &endpoint, err);
        if (r < 0) {
                return r;
        }
        if (s3_url(&endpoint, bucket->name, request->key, &url) < 0) {
                return error_oom(err);
        }
        const AwsCall call = {
                .service = "s3",
                .region = region,
                .operation = request->operation,
                .resource = resource,
                .method = request->method,
                .url = url.data,
                .headers = headers,
                .n_headers = n_headers,
                .body = request->body,
                .body_size = request->body_size,
                .reply_max = request->reply_max,
                .secret_reply = true,
                .accept_status = { 301, 307, 400, 404, 412 },
        };
        return aws_client_call(bucket->client, &call, wait, ret, err);
}

/* Returns the bucket's region if the reply names another one than was asked, else NULL. */
static const char *other_region(const HttpReply *reply, const char *asked)
{
        const char *region = http_reply_header(reply, "x-amz-bucket-region");
        bool redirect = reply->status == 301 || reply->status == 307 || reply->status == 400;
        if (!redirect || isempty(region) || strlen(region) >= REGION_MAX || streq(region, asked)) {
                return NULL;
        }
        /* It becomes part of a host name. */
        size_t n = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");
        return region[n] ? NULL : region;
}

/* Adds to the message the causes that S3's plain "Access Denied" may hide. */
static void explain_denial(const S3Bucket *bucket, const Request *request, Error *err)
{
        if (err->class != ERROR_DENIED || err->http_status != 403 ||
            !streq(err->aws_code, "AccessDenied") ||
            string_starts_with(err->message, "denied with") ||
            string_starts_with(err->message, "denied because")) {
                return; /* not S3's plain denial, or it names its reason */
        }
        bool get = streq(request->operation, "GetObject");
        const char *kms = get ? "kms:Decrypt" : "kms:GenerateDataKey and kms:Decrypt";
        char more[ERROR_MESSAGE_MAX];
        int n = snprintf(more, sizeof(more), "%.700s", err->message);
        if (n > 0 && !strstr(more, "kms:") && (get || bucket->kms_key_id)) {
                const char *such_as = bucket->kms_key_id ? " such as " : "";
                (void) snprintf(err->message, sizeof(err->message),
                                "%s; where the bucket is encrypted with a KMS key%s%.200s, also %s",
                                more, such_as, strempty(bucket->kms_key_id), kms);
                (void) snprintf(more, sizeof(more), "%.900s", err->message);
        }
        if (get) {
                (void) snprintf(err->message, sizeof(err->message),
                                "%s; a key that does not exist looks the same without "
                                "s3:ListBucket",
                                more);
        }
        (void) snprintf(more, sizeof(more), "%.900s", err->message);
        (void) snprintf(err->message, sizeof(err->message),
                        "%s; so does a bucket of another account than %s", more, bucket->owner);
}

/* Sends the request, and sends it once more if S3 names another region. A status that no caller
 * expects is an error: on success the status is 2xx, 404 for a missing key, or 412. */
static int s3_exchange(S3Bucket *bucket, const Request *request, const Wait *wait, HttpReply *ret,
                       Error *err)
{
        char region[REGION_MAX], resource[64 + KEY_MAX + 8];
        if (isempty(request->key) || strlen(request->key) > KEY_MAX || request->key[0] == '/') {
                return error_set(err, ERROR_CONFIG, EINVAL, "\"%.100s\" is no S3 key",
                                 strempty(request->key));
        }
        (void) pthread_mutex_lock(&bucket->mutex);
        (void) snprintf(region, sizeof(region), "%s",
                        bucket->region[0] ? bucket->region : aws_client_region(bucket->client));
        (void) pthread_mutex_unlock(&bucket->mutex);
        (void) snprintf(resource, sizeof(resource), "s3://%s/%s", bucket->name, request->key);

        for (bool followed = false;; followed = true) {
                _cleanup_http_reply_ HttpReply reply = {};
                int r = send_to(bucket, region, request, resource, wait, &reply, err);
                if (r < 0) {
                        explain_denial(bucket, request, err);
                        return r;
                }
                const char *other = followed ? NULL : other_region(&reply, region);
                if (other) {
                        (void) pthread_mutex_lock(&bucket->mutex);
                        memcpy(bucket->region, other, strlen(other) + 1);
                        (void) pthread_mutex_unlock(&bucket->mutex);
                        memcpy(region, other, strlen(other) + 1);
                        continue;
                }
                if (reply.status >= 300 && reply.status != 412) {
                        Error failed = {};
                        r = errors_from_reply(&reply, "s3", request->operation, resource, &failed);
                        if (reply.status != 404 || !streq(failed.aws_code, "NoSuchKey")) {
                                *err = failed;
                                return r;
                        }
                }
                *ret = reply;
                reply = (HttpReply) {};
                return 0;
        }
}

/* Copies the reply's ETag. An ETag that does not fit is an error: a condition with a cut one would
 * never hold. */
static int copy_etag(const HttpReply *reply, const char *key, char *ret, Error *err)
{
        const char *etag = http_reply_header(reply, "etag");
        if (isempty(etag) || strlen(etag) >= S3_ETAG_MAX) {
                return error_set(err, ERROR_RETRY, EBADMSG, "S3's reply for %s has no proper ETag",
                                 key);
        }
        memcpy(ret, etag, strlen(etag) + 1);
        return 0;
}

int s3_get(S3Bucket *bucket, const char *key, size_t max_bytes, const Wait *wait, Buffer *ret,
           char *ret_etag, Error *err)
{
        const Request request = {
                .operation = "GetObject",
                .method = "GET",
                .key = key,
                .reply_max = max_bytes < 8192 ? 8192 : max_bytes, /* room for an error's XML */
        };
        _cleanup_http_reply_ HttpReply reply = {};
        int r = s3_exchange(bucket, &request, wait, &reply, err);
        if (r < 0) {
                return r;
        }
        if (reply.status == 404) {
                return 0;
        }
        if (reply.status != 200) {
                return errors_from_reply(&reply, "s3", "GetObject", key, err);
        }
        if (reply.body.size > max_bytes) {
                return error_set(err, ERROR_FATAL, EFBIG, "s3://%s/%s is larger than %zu bytes",
                                 bucket->name, key, max_bytes);
        }
        r = ret_etag ? copy_etag(&reply, key, ret_etag, err) : 0;
        if (r < 0) {
                return r;
        }
        r = buffer_append(ret, reply.body.data, reply.body.size);
        if (r == -EFBIG) {
                return error_set(err, ERROR_FATAL, EFBIG, "s3://%s/%s is too large", bucket->name,
                                 key);
        }
        return r < 0 ? error_oom(err) : 1;
}

int s3_put(S3Bucket *bucket, const char *key, const void *data, size_t n, S3Condition condition,
           const char *etag, const Wait *wait, char *ret_etag, Error *err)
{
        HttpHeader headers[PUT_HEADERS_MAX];
        unsigned char sha256[DIGEST_BYTES];
        _cleanup_buffer_ Buffer checksum = {};
        size_t n_headers = 0;
        data = n > 0 ? data : "";
        digest_sha256(data, n, sha256);
        if (base64_encode(sha256, sizeof(sha256), &checksum) < 0) {
                return error_oom(err);
        }
        s3_add_header(headers, &n_headers, "x-amz-checksum-sha256", checksum.data);
        s3_add_header(headers, &n_headers, "Content-Type", "application/octet-stream");
        if (condition == S3_IF_ABSENT) {
                s3_add_header(headers, &n_headers, "If-None-Match", "*");
        } else if (condition == S3_IF_MATCH) {
                s3_add_header(headers, &n_headers, "If-Match", etag);
        }
        if (bucket->kms_key_id) {
                s3_add_header(headers, &n_headers, "x-amz-server-side-encryption", "aws:kms");
                s3_add_header(headers, &n_headers, "x-amz-server-side-encryption-aws-kms-key-id",
                              bucket->kms_key_id);
        }
        const Request request = {
                .operation = "PutObject",
                .method = "PUT",
                .key = key,
                .headers = headers,
                .n_headers = n_headers,
                .body = data,
                .body_size = n,
        };
        _cleanup_http_reply_ HttpReply reply = {};
        int r = s3_exchange(bucket, &request, wait, &reply, err);
        if (r < 0) {
                return r;
        }
        if (condition != S3_UNCONDITIONAL && (reply.status == 412 || reply.status == 404)) {
                return 0;
        }
        if (reply.status >= 300) {
                return errors_from_reply(&reply, "s3", "PutObject", key, err);
        }
        /* A server that stored the object returns its ETag. A reply without one is an error. */
        char stored[S3_ETAG_MAX];
        r = copy_etag(&reply, key, ret_etag ? ret_etag : stored, err);
        return r < 0 ? r : 1;
}
