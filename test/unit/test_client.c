/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/client.h"

#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

#include "scripted_server.h"

DEFINE_CLEANUP(AwsClient *, aws_client_free);
DEFINE_CLEANUP(Credentials *, credentials_free);
DEFINE_CLEANUP(Imds *, imds_free);

#define EC2_ERROR(code)                                                                           \
        "<Response><Errors><Error><Code>" code "</Code><Message>words</Message></Error></Errors>" \
        "<RequestID>req-1</RequestID></Response>"

static ScriptedServer plain, tls;
static Credentials *fixed;

static AwsClient *make_client(Credentials *credentials)
{
        AwsClient *client = NULL;
        if (aws_client_new(credentials, "us-east-1", NULL, &client, ERROR_IGNORED) < 0) {
                abort();
        }
        return client;
}

static int call(AwsClient *client, ScriptedServer *server, unsigned seconds, int accept,
                HttpReply *ret, Error *err)
{
        char url[64], name[] = "Content-Type", type[] = "application/x-www-form-urlencoded";
        const HttpHeader header = { name, type };
        Wait wait = test_wait(seconds);
        (void) snprintf(url, sizeof(url), "%s://127.0.0.1:%d/?b=2&a=1",
                        server->tls ? "https" : "http", server->port);
        const AwsCall aws_call = {
                .service = "ec2",
                .operation = "AttachVolume",
                .resource = "vol-1",
                .method = "POST",
                .url = url,
                .headers = &header,
                .n_headers = 1,
                .body = "Action=AttachVolume",
                .body_size = 19,
                .accept_status = { 412, accept },
        };
        return aws_client_call(client, &aws_call, &wait, ret, err);
}

static void header_of(const char *request, const char *name, char *ret, size_t size)
{
        char start[64];
        (void) snprintf(start, sizeof(start), "\r\n%s: ", name);
        const char *p = strstr(request, start);
        p = p ? p + strlen(start) : "";
        (void) snprintf(ret, size, "%.*s", (int) strcspn(p, "\r"), p);
}

/* The moment that a request says it was signed at. */
static time_t signed_at(const char *request)
{
        char stamp[32];
        struct tm tm = {};
        header_of(request, "X-Amz-Date", stamp, sizeof(stamp));
        return strptime(stamp, "%Y%m%dT%H%M%SZ", &tm) ? timegm(&tm) : 0;
}

static void hmac(const void *key, size_t n, const char *text, unsigned char ret[32])
{
        if (!HMAC(EVP_sha256(), key, (int) n, (const unsigned char *) text, strlen(text), ret,
                  NULL)) {
                abort();
        }
}

static void to_hex(const unsigned char digest[32], char ret[65])
{
        for (int i = 0; i < 32; i++) {
                (void) snprintf(ret + (size_t) 2 * i, 3, "%02x", digest[i]);
        }
}

/* The Authorization of call()'s request, step by step as AWS describes it.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
static void expect_authorization(const char *host, const char *stamp, char ret[512])
{
        char text[1024], day[9], digest[65];
        unsigned char key[32];
        (void) snprintf(day, sizeof(day), "%.8s", stamp);
        (void) snprintf(text, sizeof(text),
                        "POST\n/\na=1&b=2\ncontent-type:application/x-www-form-urlencoded\n"
                        "host:%s\nx-amz-date:%s\nx-amz-security-token:token\n\n"
                        "content-type;host;x-amz-date;x-amz-security-token\n"
                        "644257cde872fac83fcf5589dd5de71d9976de375259a606a0f98e84efec3e66",
                        host, stamp);
        (void) SHA256((const unsigned char *) text, strlen(text), key);
        to_hex(key, digest);
        (void) snprintf(text, sizeof(text),
                        "AWS4-HMAC-SHA256\n%s\n%s/us-east-1/ec2/aws4_request\n%s", stamp, day,
                        digest);
        hmac("AWS4secret", strlen("AWS4secret"), day, key);
        hmac(key, sizeof(key), "us-east-1", key);
        hmac(key, sizeof(key), "ec2", key);
        hmac(key, sizeof(key), "aws4_request", key);
        hmac(key, sizeof(key), text, key);
        to_hex(key, digest);
        (void) snprintf(ret, 512,
                        "AWS4-HMAC-SHA256 Credential=AKID/%s/us-east-1/ec2/aws4_request, "
                        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
                        "Signature=%s",
                        day, digest);
}

static void test_signed(void)
{
        _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
        _cleanup_http_reply_ HttpReply reply = {};
        Error err = {};
        server_reset(&plain, NULL);
        server_script(&plain, "200 OK", "", "<r/>");
        CHECK_OK(call(client, &plain, test_patience_s(), 0, &reply, &err), err);
        CHECK_STR(reply.body.data, "<r/>");
        CHECK_INT(aws_client_requests(client), 1);

        const char *request = server_request(&plain, 0);
        char host[64], stamp[32], authorization[512], token[64], expected[512];
        header_of(request, "Host", host, sizeof(host));
        header_of(request, "X-Amz-Date", stamp, sizeof(stamp));
        header_of(request, "Authorization", authorization, sizeof(authorization));
        header_of(request, "X-Amz-Security-Token", token, sizeof(token));
        CHECK_STR(token, "token");
        expect_authorization(host, stamp, expected);
        CHECK_STR(authorization, expected);
        CHECK(labs(signed_at(request) - time(NULL)) < 300); /* what AWS allows */

        /* botocore 1.29.27, SigV4Auth of the same request to this host at this time */
        expect_authorization("ec2.example.org:4443", "20260311T235959Z", expected);
        CHECK_STR(expected, "AWS4-HMAC-SHA256 Credential=AKID/20260311/us-east-1/ec2/aws4_request, "
                            "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
                            "Signature="
                            "05654e48e34e0fccb7ac256c18619f5c8e9b05f53b77e489de7041cba0bb0d58");
}

static void test_decisions(void)
{
        static const struct {
                const char *status, *body;
                unsigned requests; /* before it gives up, or the answer after it comes */
                ErrorClass class;
        } cases[] = {
                { "500 Oops", "", 2, 0 },
                { "503 Busy", EC2_ERROR("Unavailable"), 2, 0 },
                { "500 Oops", "<html>", 2, 0 },
                { "400 Bad", EC2_ERROR("VolumeInUse"), 1, ERROR_RETRY },
                { "400 Bad", EC2_ERROR("IncorrectState"), 1, ERROR_RETRY },
                { "400 Bad", EC2_ERROR("InvalidVolume.NotFound"), 1, ERROR_RETRY }, /* at first */
                { "400 Bad", EC2_ERROR("InvalidSubnet.NotFound"), 1, ERROR_CONFIG },
                { "403 No", EC2_ERROR("UnauthorizedOperation"), 1, ERROR_DENIED },
                { "401 No", EC2_ERROR("AuthFailure"), 1, ERROR_DENIED },
                { "400 Bad", EC2_ERROR("RequestExpired"), 1, ERROR_RETRY }, /* fixed keys, no TLS */
                { "302 Found", "", 1, ERROR_CONFIG },
                { "404 None", "", 1, ERROR_FATAL },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
                _cleanup_http_reply_ HttpReply reply = {};
                Error err = {};
                server_reset(&plain, NULL);
                server_script(&plain, c->status, "", c->body);
                server_script(&plain, "200 OK", "", "<r/>");
                int r = call(client, &plain, test_patience_s(), 0, &reply, &err);
                CHECK_INT(r < 0, c->requests == 1);
                CHECK_INT(server_count(&plain), c->requests);
                CHECK_INT(aws_client_requests(client), c->requests);
                if (r < 0) {
                        CHECK_INT(err.class, c->class);
                        CHECK_INT(err.http_status, atoi(c->status));
                        CHECK_CONTAINS(err.message, "ec2:AttachVolume on vol-1");
                        CHECK_STR(err.request_id, *c->body ? "req-1" : "");
                }
        }
}

static void test_accepted(void)
{
        _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
        _cleanup_http_reply_ HttpReply reply = {}, created = {};
        Error err = {};
        server_reset(&plain, NULL);
        server_script(&plain, "412 Failed", "X-A: b\r\n", "<Error/>");
        CHECK_OK(call(client, &plain, test_patience_s(), 404, &reply, &err), err);
        CHECK_INT(reply.status, 412);
        CHECK_STR(http_reply_header(&reply, "x-a"), "b");
        server_reset(&plain, NULL);
        server_script(&plain, "201 Made", "", "");
        CHECK_OK(call(client, &plain, test_patience_s(), 0, &created, &err), err);
        CHECK_INT(created.status, 201);
}

static char *respond_close(const char *request, unsigned number)
{
        (void) request;
        return number < 2 ? NULL : make_reply("200 OK", "", "late");
}

static void test_connection(void)
{
        _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
        _cleanup_http_reply_ HttpReply reply = {};
        Error err = {};
        server_reset(&plain, respond_close);
        CHECK_OK(call(client, &plain, test_patience_s(), 0, &reply, &err), err);
        CHECK_STR(reply.body.data, "late");
        CHECK_INT(server_count(&plain), 3);
}

/* An error, and nothing after it. */
static char *respond_once(const char *request, unsigned number)
{
        (void) request;
        return number == 0 ? make_reply("500 Oops", "", EC2_ERROR("InternalError")) : strdup("");
}

static void test_gives_up(void)
{
        _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
        HttpReply reply = {};
        Error err = {};
        server_reset(&plain, NULL);
        server_script(&plain, "500 Oops", "", EC2_ERROR("InternalError"));
        CHECK(call(client, &plain, test_patience_s(), 0, &reply, &err) < 0);
        CHECK_INT(server_count(&plain), 5);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_STR(err.aws_code, "InternalError");
        CHECK_STR(err.request_id, "req-1");

        /* A wait that is over ends it, and what AWS said is told, not that time ran out: before
         * another request, and in the middle of one. */
        Respond *const ends[] = { NULL, respond_once };
        FOREACH_ARRAY(end, ends, ELEMENTS(ends)) {
                Error late = {};
                server_reset(&plain, *end);
                server_script(&plain, "500 Oops", "", EC2_ERROR("InternalError"));
                CHECK(call(client, &plain, 2, 0, &reply, &late) < 0);
                CHECK_STR(late.aws_code, "InternalError");
        }
}

static void *stop_soon(void *userdata)
{
        Wait wait = test_patience();
        (void) wait_sleep(&wait, 200, ERROR_IGNORED);
        (void) eventfd_write(((const Wait *) userdata)->stop_fd, 1);
        return NULL;
}

static void test_stop(void)
{
        _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
        Wait wait = test_patience();
        HttpReply reply = {};
        Error err = {};
        pthread_t thread;
        wait.stop_fd = eventfd(0, EFD_CLOEXEC);
        AwsCall aws_call = {
                .service = "ec2", .operation = "X", .method = "GET", .url = "http://127.0.0.1:1/"
        };
        REQUIRE(pthread_create(&thread, NULL, stop_soon, &wait) == 0);
        int r = 0;
        uint64_t before = wait_now_ms();
        while (r != -ECANCELED && wait_now_ms() - before < TEST_CUT_SHORT_MS) {
                r = aws_client_call(client, &aws_call, &wait, &reply, &err);
        }
        CHECK_INT(r, -ECANCELED);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
        (void) pthread_join(thread, NULL);
        (void) close(wait.stop_fd);
}

/* Seconds that the region's clock is ahead of ours. */
static int server_skew_s;

static char *respond_strict_clock(const char *request, unsigned number)
{
        (void) number;
        char headers[64], date[48];
        struct tm tm;
        time_t now = time(NULL) + server_skew_s;
        (void) strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
        (void) snprintf(headers, sizeof(headers), "Date: %s\r\n", date);
        return labs(signed_at(request) - now) <= 900
                       ? make_reply("200 OK", headers, "<r/>")
                       : make_reply("400 Bad", headers, EC2_ERROR("RequestExpired"));
}

static void test_clock(void)
{
        _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
        HttpReply reply = {};
        Error err = {};
        bool known = true;
        int64_t offset = 99;
        aws_client_clock_offset(client, &known, &offset);
        CHECK(!known);

        static const struct {
                int skew_s;
                unsigned requests; /* in all: one more where the clock must be learned first */
        } cases[] = { { 0, 1 }, { 7200, 2 }, { 7200, 1 }, { -7200, 2 },
                      { 0, 2 }, { 100, 1 },  { 100, 1 } };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                server_reset(&tls, respond_strict_clock);
                server_skew_s = c->skew_s;
                CHECK_OK(call(client, &tls, test_patience_s(), 0, &reply, &err), err);
                http_reply_done(&reply);
                CHECK_INT(server_count(&tls), c->requests);
                aws_client_clock_offset(client, &known, &offset);
                CHECK(known && llabs(offset - c->skew_s) <= 2);
                /* realigned, or nearly so: signed by our own clock again */
                time_t expected = time(NULL) + (abs(c->skew_s) > 240 ? c->skew_s : 0);
                CHECK(labs(signed_at(server_request(&tls, c->requests - 1)) - expected) <= 2);
        }
}

/* Whoever answers without TLS cannot move our clock. */
static void test_clock_without_tls(void)
{
        _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
        HttpReply reply = {};
        Error err = {};
        bool known = true;
        int64_t offset;
        server_reset(&plain, respond_strict_clock);
        server_skew_s = 7200;
        CHECK(call(client, &plain, test_patience_s(), 0, &reply, &err) < 0);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_INT(server_count(&plain), 1);
        aws_client_clock_offset(client, &known, &offset);
        CHECK(!known);
}

/* A metadata service, and an EC2 that knows only the second keys of the role. */
static char *respond_expired(const char *request, unsigned number)
{
        static int n_keys;
        char body[256];
        (void) number;
        if (string_starts_with(request, "PUT ")) {
                n_keys = 0;
                return make_reply("200 OK", "", "t");
        }
        if (strstr(request, "security-credentials/ ")) {
                return make_reply("200 OK", "", "node");
        }
        if (strstr(request, "security-credentials/node ")) {
                (void) snprintf(
                        body, sizeof(body),
                        "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA%d\","
                        "\"SecretAccessKey\":\"s\",\"Expiration\":\"2099-01-01T00:00:00Z\"}",
                        ++n_keys);
                return make_reply("200 OK", "", body);
        }
        return strstr(request, "Credential=ASIA2/")
                       ? make_reply("200 OK", "", "<r/>")
                       : make_reply("400 Bad", "", EC2_ERROR("ExpiredToken"));
}

static void test_expired_keys(void)
{
        char url[64];
        _cleanup_(imds_freep) Imds *imds = NULL;
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        Error err = {};
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", plain.port);
        CHECK_OK(imds_new(url, &imds, &err), err);
        CHECK_OK(credentials_new_imds(imds, &credentials, &err), err);
        _cleanup_(aws_client_freep) AwsClient *client = make_client(credentials);
        HttpReply reply = {};
        server_reset(&plain, respond_expired);
        CHECK_OK(call(client, &plain, test_patience_s(), 400, &reply, &err),
                 err); /* though 400 is accepted */
        CHECK_INT(reply.status, 200);
        CHECK_INT(aws_client_requests(client), 2);
        http_reply_done(&reply);

        /* Renewed once a call, not for ever. */
        server_reset(&plain, NULL);
        server_script(&plain, "400 Bad", "", EC2_ERROR("ExpiredToken"));
        server_script(&plain, "200 OK", "", "node");
        server_script(&plain, "200 OK", "",
                      "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA9\",\"SecretAccessKey\":\"s\","
                      "\"Expiration\":\"2099-01-01T00:00:00Z\"}");
        server_script(&plain, "400 Bad", "", EC2_ERROR("ExpiredToken"));
        CHECK(call(client, &plain, test_patience_s(), 0, &reply, &err) < 0);
        CHECK_STR(err.aws_code, "ExpiredToken");
        CHECK_INT(server_count(&plain), 4);
        CHECK_INT(err.class, ERROR_RETRY);
}

/* One thread is throttled: the others slow down as well, and it wears off. */
static void test_throttling(void)
{
        _cleanup_(aws_client_freep) AwsClient *client = make_client(fixed);
        HttpReply reply = {};
        Error err = {};
        server_reset(&plain, NULL);
        server_script(&plain, "503 Busy", "", EC2_ERROR("RequestLimitExceeded"));
        uint64_t before = wait_now_ms();
        CHECK(call(client, &plain, test_patience_s(), 0, &reply, &err) < 0);
        CHECK_STR(err.aws_code, "RequestLimitExceeded");
        CHECK_INT(server_count(&plain), 5);
        CHECK(wait_now_ms() - before >= 100 + 200 + 400 + 800);

        server_reset(&plain, NULL);
        server_script(&plain, "200 OK", "", "<r/>");
        uint64_t first = 0, least = UINT64_MAX;
        for (int i = 0; i < 12; i++) { /* waits 1600, 800, 400, 200, 100, 0 … ms */
                before = wait_now_ms();
                CHECK_OK(call(client, &plain, test_patience_s(), 0, &reply, &err), err);
                http_reply_done(&reply);
                uint64_t took = wait_now_ms() - before;
                first = i == 0 ? took : first;
                least = took < least ? took : least;
        }
        CHECK(first >= 1000);
        CHECK(least < 1000);
}

int main(void)
{
        char ca_path[128];
        Error err = {};
        (void) snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", test_folder());
        server_use_tls(&tls, ca_path);
        if (setenv("AWS_CA_BUNDLE", ca_path, 1) != 0 || http_init(&err) < 0 ||
            credentials_new_static("AKID", "secret", "token", &fixed, &err) < 0) {
                abort();
        }
        server_start(&plain);
        server_start(&tls);
        test_case("a request is signed as it is sent", test_signed);
        test_case("what is repeated and what is not", test_decisions);
        test_case("accepted statuses are handed back", test_accepted);
        test_case("a lost connection is tried again", test_connection);
        test_case("five attempts, or the wait is over", test_gives_up);
        test_case("a stop request ends it", test_stop);
        test_case("a wrong clock is learned, corrected and forgotten", test_clock);
        test_case("a clock is not learned without TLS", test_clock_without_tls);
        test_case("expired keys are renewed once", test_expired_keys);
        test_case("throttling slows the whole process", test_throttling);
        server_reset(&plain, NULL);
        server_reset(&tls, NULL);
        credentials_free(fixed);
        http_done();
        server_stop(&tls);
        SSL_CTX_free(tls.tls);
        return test_done();
}
