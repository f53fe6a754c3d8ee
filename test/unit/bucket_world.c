/* SPDX-License-Identifier: Apache-2.0 */
#include "bucket_world.h"

#include <stdlib.h>

#define BUCKET_OBJECTS_MAX 8

typedef struct BucketObject {
        char key[96];
        char *body;
        unsigned version; /* its ETag */
} BucketObject;

static BucketObject bucket_objects[BUCKET_OBJECTS_MAX];
unsigned bucket_lost_answers;

static BucketObject *bucket_find(const char *key)
{
        FOREACH_ARRAY(object, bucket_objects, ELEMENTS(bucket_objects)) {
                if (object->body && streq(object->key, key)) {
                        return object;
                }
        }
        return NULL;
}

void bucket_fill(const char *key, const char *body)
{
        BucketObject *object = bucket_find(key);
        for (size_t i = 0; !object && i < ELEMENTS(bucket_objects); i++) {
                object = bucket_objects[i].body ? NULL : &bucket_objects[i];
        }
        if (!object) {
                abort();
        }
        (void) snprintf(object->key, sizeof(object->key), "%s", key);
        free(object->body);
        object->body = strdup(body);
        object->version++;
}

void bucket_clear(void)
{
        FOREACH_ARRAY(object, bucket_objects, ELEMENTS(bucket_objects)) {
                free(TAKE(object->body));
        }
}

const char *bucket_body(const char *key)
{
        const BucketObject *object = bucket_find(key);
        return object ? object->body : "";
}

static bool has_header(const char *request, const char *header)
{
        const char *end = strstr(request, "\r\n\r\n"), *found = strcasestr(request, header);
        return found && end && found < end;
}

static char *bucket_answer_put(const char *request, const char *key)
{
        const BucketObject *object = bucket_find(key);
        char match[64], etag[64];
        (void) snprintf(match, sizeof(match), "\r\nIf-Match: \"%u\"", object ? object->version : 0);
        bool absent = has_header(request, "\r\nIf-None-Match: *");
        bool matches = has_header(request, "\r\nIf-Match: ");
        if ((absent && object) || (matches && !(object && has_header(request, match)))) {
                return make_reply("412 Precondition Failed", "",
                                  "<Error><Code>PreconditionFailed</Code></Error>");
        }
        bucket_fill(key, strstr(request, "\r\n\r\n") + 4);
        if (bucket_lost_answers > 0) {
                bucket_lost_answers--;
                return make_reply("500 Internal Server Error", "",
                                  "<Error><Code>InternalError</Code></Error>");
        }
        (void) snprintf(etag, sizeof(etag), "ETag: \"%u\"\r\n", bucket_find(key)->version);
        return make_reply("200 OK", etag, "");
}

char *bucket_answer(const char *request)
{
        char key[96] = "", etag[64];
        bool puts = string_starts_with(request, "PUT ");
        const char *path = strstr(request, " /bucket/");
        if (!path || path > strstr(request, "\r\n")) {
                return NULL;
        }
        path += strlen(" /bucket/");
        (void) snprintf(key, sizeof(key), "%.*s", (int) strcspn(path, " ?"), path);
        if (puts) {
                return bucket_answer_put(request, key);
        }
        const BucketObject *object = bucket_find(key);
        if (!object) {
                return make_reply("404 Not Found", "", "<Error><Code>NoSuchKey</Code></Error>");
        }
        (void) snprintf(etag, sizeof(etag), "ETag: \"%u\"\r\n", object->version);
        return make_reply("200 OK", etag, object->body);
}

void start_world_with_bucket(void)
{
        static char url[64], bucket[] = "bucket", prefix[] = "pki";
        Error err = {};
        start_world();
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        (void) setenv("AWS_ENDPOINT_URL_S3", url, 1);
        boot.config.s3_bucket = bucket;
        boot.config.s3_prefix = prefix;
        if (s3_bucket_new(boot.aws, bucket, "123456789012", NULL, &boot.bucket, &err) < 0) {
                (void) fprintf(stderr, "%s\n", err.message);
                exit(EXIT_FAILURE);
        }
}
