/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/s3.h"

#include <errno.h>

#include "aws/s3_internal.h"
#include "scripted_server.h"

#define ERROR_XML(code, message) \
        "<Error><Code>" code "</Code><Message>" message "</Message></Error>"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static ScriptedServer server;
static AwsClient *client;

static S3Bucket *make_bucket(const char *kms_key_id)
{
        S3Bucket *bucket = NULL;
        if (s3_bucket_new(client, "kube", "123456789012", kms_key_id, &bucket, ERROR_IGNORED) < 0) {
                abort();
        }
        return bucket;
}

static void script(const char *status, const char *headers, const char *body)
{
        server_reset(&server, NULL);
        server_script(&server, status, headers, body);
}

static void test_get(void)
{
        _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL);
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        char etag[S3_ETAG_MAX] = "";
        Error err = {};
        script("200 OK", "ETag: \"0123\"\r\n", "content");
        CHECK_INT(s3_get(bucket, "a b/~*+/\xc3\xbc", 100, &wait, &text, etag, &err), 1);
        CHECK_STR(text.data, "content");
        CHECK_STR(etag, "\"0123\"");
        const char *request = server_request(&server, 0);
        CHECK(string_starts_with(request, "GET /kube/a%20b/~%2A%2B/%C3%BC HTTP/1.1\r\n"));
        CHECK_CONTAINS(request, "X-Amz-Content-Sha256: " EMPTY_SHA256 "\r\n");
        CHECK_CONTAINS(request, "\r\nx-amz-expected-bucket-owner: 123456789012\r\n");
        CHECK_CONTAINS(request, "SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
                                "x-amz-expected-bucket-owner,");
        CHECK_CONTAINS(request, "/us-east-1/s3/aws4_request");
        CHECK_INT(s3_get(bucket, "k", 100, &wait, &text, NULL, &err), 1); /* appended */
        CHECK_STR(text.data, "contentcontent");
}

static void test_get_answers(void)
{
        static const struct {
                const char *status, *body;
                int r;
                ErrorClass class;
                const char *message;
        } cases[] = {
                { "404 None", ERROR_XML("NoSuchKey", "none"), 0, 0, "" },
                { "404 None", ERROR_XML("NoSuchBucket", "none"), -1, ERROR_RETRY, /* at first */
                  "s3:GetObject on s3://kube/k: NoSuchBucket" },
                { "404 None", "<html>not S3</html>", -1, ERROR_FATAL, "HTTP status 404" },
                { "404 None", "", -1, ERROR_FATAL, "HTTP status 404" },
                { "403 No", ERROR_XML("AccessDenied", "Access Denied"), -1, ERROR_DENIED,
                  "needs s3:GetObject on s3://kube/k (AccessDenied: Access Denied); where the "
                  "bucket is encrypted with a KMS key, also kms:Decrypt; a key that does not exist "
                  "looks the same without s3:ListBucket; so does a bucket of another account than "
                  "123456789012" },
                { "403 No",
                  ERROR_XML("AccessDenied", "User: u is not authorized to perform: kms:Decrypt on "
                                            "the resource associated with this ciphertext"),
                  -1, ERROR_DENIED, "needs kms:Decrypt on s3://kube/k" },
                { "403 No", ERROR_XML("InvalidAccessKeyId", "who"), -1, ERROR_DENIED,
                  "does not accept the credentials" },
                { "400 Bad", ERROR_XML("KMS.DisabledException", "off"), -1, ERROR_CONFIG, "KMS" },
                { "400 Bad", ERROR_XML("InvalidRequest", "odd"), -1, ERROR_FATAL,
                  "InvalidRequest" },
                { "301 Moved", ERROR_XML("PermanentRedirect", "go"), -1, ERROR_CONFIG,
                  "PermanentRedirect" },
                { "412 Failed", ERROR_XML("PreconditionFailed", "no"), -1, ERROR_FATAL,
                  "PreconditionFailed" },
                { "206 Part", "part", -1, ERROR_FATAL, "HTTP status 206" },
        };
        Wait wait = test_patience();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL);
                _cleanup_buffer_ Buffer text = {};
                Error err = {};
                script(c->status, "", c->body);
                int r = s3_get(bucket, "k", 100, &wait, &text, NULL, &err);
                CHECK_INT(r < 0 ? -1 : r, c->r);
                CHECK_INT(err.class, c->class);
                CHECK_CONTAINS(err.message, c->message);
                CHECK_INT(text.size, 0);
                CHECK_INT(server_count(&server), 1);
        }
}

static void test_sizes(void)
{
        _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL);
        _cleanup_buffer_ Buffer text = {}, small = { .max = 3 };
        Wait wait = test_patience();
        char etag[S3_ETAG_MAX] = "kept", long_etag[S3_ETAG_MAX + 16];
        Error err = {};
        script("200 OK", "ETag: \"x\"\r\n", "12345");
        CHECK_INT(s3_get(bucket, "k", 4, &wait, &text, NULL, &err), -EFBIG);
        CHECK_CONTAINS(err.message, "s3://kube/k is larger than 4 bytes");
        CHECK_INT(s3_get(bucket, "k", 5, &wait, &small, NULL, &err), -EFBIG);
        CHECK_INT(s3_get(bucket, "k", 5, &wait, &text, NULL, &err), 1);
        CHECK_INT(text.size, 5);
        (void) snprintf(long_etag, sizeof(long_etag), "ETag: %0*d\r\n", S3_ETAG_MAX, 1);
        script("200 OK", long_etag, "");
        CHECK(s3_get(bucket, "k", 5, &wait, &text, etag, &err) < 0);
        CHECK_STR(etag, "kept");
        CHECK_INT(text.size, 5);
}

static void test_put(void)
{
        _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL), *kms = make_bucket("alias/k");
        Wait wait = test_patience();
        char etag[S3_ETAG_MAX] = "";
        Error err = {};
        script("200 OK", "ETag: \"new\"\r\n", "");
        CHECK_INT(s3_put(bucket, "claim", "abc", 3, S3_IF_ABSENT, NULL, &wait, etag, &err), 1);
        CHECK_STR(etag, "\"new\"");
        const char *request = server_request(&server, 0);
        CHECK(string_starts_with(request, "PUT /kube/claim HTTP/1.1\r\n"));
        CHECK_CONTAINS(request, "\r\nIf-None-Match: *\r\n");
        /* printf abc | openssl dgst -sha256 -binary | base64 */
        CHECK_CONTAINS(request, "\r\nx-amz-checksum-sha256: "
                                "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\r\n");
        CHECK_CONTAINS(request, "SignedHeaders=content-type;host;if-none-match;"
                                "x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date;"
                                "x-amz-expected-bucket-owner,");
        CHECK(!strstr(request, "x-amz-server-side-encryption"));
        CHECK(!strstr(request, "If-Match"));
        CHECK(string_ends_with(request, "\r\n\r\nabc"));

        script("200 OK", "ETag: \"new\"\r\n", "");
        CHECK_INT(s3_put(kms, "k", NULL, 0, S3_IF_MATCH, "\"old\"", &wait, NULL, &err), 1);
        request = server_request(&server, 0);
        CHECK_CONTAINS(request, "\r\nIf-Match: \"old\"\r\n");
        CHECK_CONTAINS(request, "\r\nContent-Length: 0\r\n");
        CHECK_CONTAINS(request, "\r\nx-amz-checksum-sha256: "
                                "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\r\n");
        CHECK_CONTAINS(request, "\r\nx-amz-server-side-encryption: aws:kms\r\n");
        CHECK_CONTAINS(request, "\r\nx-amz-server-side-encryption-aws-kms-key-id: alias/k\r\n");
        CHECK_CONTAINS(request, ";x-amz-server-side-encryption;"
                                "x-amz-server-side-encryption-aws-kms-key-id,");
}

static void test_put_answers(void)
{
        static const struct {
                const char *status, *body;
                S3Condition condition;
                int r;
                ErrorClass class;
                const char *message;
        } cases[] = {
                { "412 Failed", ERROR_XML("PreconditionFailed", "no"), S3_IF_ABSENT, 0, 0, "" },
                { "412 Failed", ERROR_XML("PreconditionFailed", "no"), S3_IF_MATCH, 0, 0, "" },
                { "404 None", ERROR_XML("NoSuchKey", "no"), S3_IF_MATCH, 0, 0, "" },
                { "412 Failed", ERROR_XML("PreconditionFailed", "no"), S3_UNCONDITIONAL, -1,
                  ERROR_FATAL, "PreconditionFailed" },
                { "404 None", ERROR_XML("NoSuchBucket", "no"), S3_IF_MATCH, -1, ERROR_RETRY,
                  "NoSuchBucket" },
                { "403 No", ERROR_XML("AccessDenied", "Access Denied"), S3_UNCONDITIONAL, -1,
                  ERROR_DENIED,
                  "needs s3:PutObject on s3://kube/k (AccessDenied: Access Denied); where the "
                  "bucket is encrypted with a KMS key such as alias/k, also kms:GenerateDataKey "
                  "and "
                  "kms:Decrypt" },
        };
        Wait wait = test_patience();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket("alias/k");
                Error err = {};
                script(c->status, "", c->body);
                int r = s3_put(bucket, "k", "x", 1, c->condition, "\"e\"", &wait, NULL, &err);
                CHECK_INT(r < 0 ? -1 : r, c->r);
                CHECK_INT(err.class, c->class);
                CHECK_CONTAINS(err.message, c->message);
                CHECK_INT(server_count(&server), 1);
        }
}

/* Two writers at once: S3 answers 409, and the same put decides it at the next try. */
static void test_conflict(void)
{
        _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL);
        Wait wait = test_patience();
        Error err = {};
        script("409 Conflict", "", ERROR_XML("ConditionalRequestConflict", "two"));
        server_script(&server, "412 Failed", "", ERROR_XML("PreconditionFailed", "no"));
        CHECK_INT(s3_put(bucket, "k", "x", 1, S3_IF_ABSENT, NULL, &wait, NULL, &err), 0);
        CHECK_INT(server_count(&server), 2);
}

static void test_region(void)
{
        static const struct {
                const char *status, *code;
        } cases[] = {
                { "301 Moved", "PermanentRedirect" },
                { "307 Moved", "TemporaryRedirect" },
                { "400 Bad", "AuthorizationHeaderMalformed" },
        };
        Wait wait = test_patience();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL);
                _cleanup_buffer_ Buffer text = {};
                Error err = {};
                char body[128];
                (void) snprintf(body, sizeof(body), "<Error><Code>%s</Code></Error>", c->code);
                script(c->status, "x-amz-bucket-region: eu-west-1\r\n", body);
                server_script(&server, "200 OK", "", "there");
                CHECK_INT(s3_get(bucket, "k", 100, &wait, &text, NULL, &err), 1);
                CHECK_STR(text.data, "there");
                CHECK_INT(server_count(&server), 2);
                CHECK_CONTAINS(server_request(&server, 0), "/us-east-1/s3/aws4_request");
                CHECK_CONTAINS(server_request(&server, 1), "/eu-west-1/s3/aws4_request");
                CHECK_INT(s3_get(bucket, "k", 100, &wait, &text, NULL, &err), 1); /* remembered */
                CHECK_CONTAINS(server_request(&server, 2), "/eu-west-1/s3/aws4_request");
        }

        /* Followed once, and never to where we were. */
        _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL);
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        script("301 Moved", "x-amz-bucket-region: eu-west-1\r\n",
               ERROR_XML("PermanentRedirect", ""));
        server_script(&server, "301 Moved", "x-amz-bucket-region: eu-west-2\r\n",
                      ERROR_XML("PermanentRedirect", ""));
        CHECK(s3_get(bucket, "k", 100, &wait, &text, NULL, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_INT(server_count(&server), 2);
        script("400 Bad", "x-amz-bucket-region: eu-west-1\r\n", ERROR_XML("InvalidRequest", ""));
        CHECK(s3_get(bucket, "k", 100, &wait, &text, NULL, &err) < 0);
        CHECK_INT(server_count(&server), 1);
}

/* A region that is none must not become part of a host name. */
static void test_evil_region(void)
{
        _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL);
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        script("301 Moved", "x-amz-bucket-region: evil.example/\r\n",
               ERROR_XML("PermanentRedirect", ""));
        CHECK(s3_get(bucket, "k", 100, &wait, &text, NULL, &err) < 0);
        CHECK_STR(err.aws_code, "PermanentRedirect");
        CHECK_INT(server_count(&server), 1);
}

static void test_urls(void)
{
        static const struct {
                Endpoint endpoint;
                const char *bucket, *key, *url;
        } cases[] = {
                { { "https://s3.eu-west-1.amazonaws.com" },
                  "kube",
                  "a b/c",
                  "https://kube.s3.eu-west-1.amazonaws.com/a%20b/c" },
                { { "https://s3.eu-west-1.amazonaws.com" },
                  "kube.example.com",
                  "k",
                  "https://s3.eu-west-1.amazonaws.com/kube.example.com/k" },
                { { "http://127.0.0.1:5000", .overridden = true },
                  "kube",
                  "a/./../b//c",
                  "http://127.0.0.1:5000/kube/a/./../b//c" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer url = {};
                CHECK_INT(s3_url(&c->endpoint, c->bucket, c->key, &url), 0);
                CHECK_STR(url.data, c->url);
        }
}

static void test_owners(void)
{
        static const char *const owners[] = { "", "12345678901", "1234567890123", "12345678901x" };
        S3Bucket *none = NULL;
        Error err = {};
        FOREACH_ARRAY(owner, owners, ELEMENTS(owners)) {
                CHECK(s3_bucket_new(client, "kube", *owner, NULL, &none, &err) < 0);
                CHECK(!none);
        }
}

static void test_names(void)
{
        static const char *const buckets[] = { "",   "ab",   "A-bucket", "a/b",
                                               "-a", "a..b", "a_bucket", "a.b-" };
        S3Bucket *none = NULL;
        Error err = {};
        FOREACH_ARRAY(name, buckets, ELEMENTS(buckets)) {
                CHECK(s3_bucket_new(client, *name, "123456789012", NULL, &none, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK(!none);
        }
        _cleanup_s3_bucket_ S3Bucket *bucket = make_bucket(NULL);
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        char long_key[1026];
        memset(long_key, 'k', 1025);
        long_key[1025] = '\0';
        const char *const keys[] = { "", "/a", long_key, NULL };
        FOREACH_ARRAY(key, keys, ELEMENTS(keys)) {
                CHECK(s3_get(bucket, *key, 1, &wait, &text, NULL, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
        }
}

int main(void)
{
        char url[64];
        Credentials *credentials = NULL;
        Error err = {};
        server_start(&server);
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        if (setenv("AWS_ENDPOINT_URL_S3", url, 1) != 0 || http_init(&err) < 0 ||
            credentials_new_static("AKID", "secret", NULL, &credentials, &err) < 0 ||
            aws_client_new(credentials, "us-east-1", NULL, &client, &err) < 0) {
                abort();
        }
        test_case("get", test_get);
        test_case("get: what the answers mean", test_get_answers);
        test_case("sizes are bounded", test_sizes);
        test_case("put, conditions, encryption", test_put);
        test_case("put: what the answers mean", test_put_answers);
        test_case("two writers at once", test_conflict);
        test_case("a bucket in another region is found, once", test_region);
        test_case("a region that is none is not asked", test_evil_region);
        test_case("addresses by host and by path", test_urls);
        test_case("names of buckets and keys", test_names);
        test_case("owners are accounts", test_owners);
        server_reset(&server, NULL);
        aws_client_free(client);
        credentials_free(credentials);
        http_done();
        return test_done();
}
