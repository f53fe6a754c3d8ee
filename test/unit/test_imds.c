/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/imds.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "aws/imds_internal.h"
#include "host/http.h"
#include "scripted_server.h"

DEFINE_CLEANUP(Imds *, imds_free);
#define _cleanup_imds_ _cleanup_(imds_freep)

#define TOKEN_OK "200 OK", "Content-Type: text/plain\r\n"

static ScriptedServer server;

static Imds *make_imds(void)
{
        char url[64];
        Imds *imds = NULL;
        Error err = {};
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server.port);
        if (imds_new(url, &imds, &err) < 0) {
                abort();
        }
        return imds;
}

static void test_value(void)
{
        _cleanup_imds_ Imds *imds = make_imds();
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        char word[32];
        server_reset(&server, NULL);
        server_script(&server, TOKEN_OK, "token-1");
        server_script(&server, "200 OK", "", "i-0123456789abcdef0");
        CHECK_INT(imds_get(imds, "meta-data/instance-id", &wait, &text, &err), 1);
        CHECK_STR(text.data, "i-0123456789abcdef0");
        CHECK_OK(imds_get_word(imds, "meta-data/instance-id", &wait, word, sizeof(word), &err),
                 err);
        CHECK_STR(word, "i-0123456789abcdef0");
        CHECK_INT(server_count(&server), 3); /* one token */
        CHECK(string_starts_with(server_request(&server, 0), "PUT /latest/api/token HTTP/1.1\r\n"));
        CHECK_CONTAINS(server_request(&server, 0),
                       "\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n");
        CHECK(string_starts_with(server_request(&server, 1),
                                 "GET /2021-07-15/meta-data/instance-id HTTP/1.1\r\n"));
        CHECK_CONTAINS(server_request(&server, 1), "\r\nX-aws-ec2-metadata-token: token-1\r\n");
}

static void test_absent(void)
{
        _cleanup_imds_ Imds *imds = make_imds();
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        char word[8] = "kept";
        server_reset(&server, NULL);
        server_script(&server, TOKEN_OK, "t");
        server_script(&server, "404 Not Found", "Content-Type: text/html\r\n", "<html>no</html>");
        CHECK_INT(imds_get(imds, "meta-data/x", &wait, &text, &err), 0);
        CHECK_INT(text.size, 0);
        CHECK_INT(imds_get_word(imds, "meta-data/x", &wait, word, sizeof(word), &err), -ENOENT);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, "there is no meta-data/x");
        CHECK_STR(word, "kept");
}

static void test_renewal(void)
{
        _cleanup_imds_ Imds *imds = make_imds();
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        server_reset(&server, NULL);
        server_script(&server, TOKEN_OK, "old");
        server_script(&server, "401 Unauthorized", "", "<?xml?><html>401</html>");
        server_script(&server, TOKEN_OK, "new");
        server_script(&server, "200 OK", "", "value");
        CHECK_INT(imds_get(imds, "meta-data/x", &wait, &text, &err), 1);
        CHECK_STR(text.data, "value");
        CHECK_INT(server_count(&server), 4);
        CHECK_CONTAINS(server_request(&server, 3), "X-aws-ec2-metadata-token: new\r\n");

        /* A fresh token refused as well is an error, after exactly one renewal. */
        server_reset(&server, NULL);
        server_script(&server, "401 Unauthorized", "", "who are you");
        server_script(&server, TOKEN_OK, "newer");
        server_script(&server, "401 Unauthorized", "", "who are you");
        CHECK(imds_get(imds, "meta-data/x", &wait, &text, &err) < 0);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_INT(err.http_status, 401);
        CHECK_CONTAINS(err.message, "meta-data/x: HTTP status 401: \"who are you\"");
        CHECK_INT(server_count(&server), 3);
}

/* Replies that are no values: none may be read as one, and each shows how it begins. */
static void test_refusals(void)
{
        static const struct {
                const char *status, *headers, *body;
                ErrorClass class;
                const char *message;
        } cases[] = {
                { "200 OK", "Content-Type: text/html; charset=utf-8\r\n", "login here",
                  ERROR_CONFIG, "something else answers at its address: \"login here\"" },
                { "200 OK", "", " \n<!DOCTYPE html><p>Wi-Fi", ERROR_CONFIG, "<!DOCTYPE html>" },
                { "200 OK", "", "<?xml version=\"1.0\"?><a/>", ERROR_CONFIG, "<?xml" },
                { "302 Found", "Location: http://portal/\r\n", "", ERROR_CONFIG, "302" },
                { "403 Forbidden", "", "no", ERROR_CONFIG, "403: \"no\"" },
                { "204 No Content", "", "", ERROR_CONFIG, "something else" },
                { "500 Oops", "", "a\x1b[1mb", ERROR_RETRY, "500: \"a [1mb\"" },
                { "503 Slow", "", "", ERROR_RETRY, "503" },
                { "429 Many", "", "", ERROR_RETRY, "429" },
        };
        Wait wait = test_patience();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                for (unsigned on_token = 0; on_token < 2; on_token++) {
                        _cleanup_imds_ Imds *imds = make_imds();
                        _cleanup_buffer_ Buffer text = {};
                        Error err = {};
                        server_reset(&server, NULL);
                        if (!on_token) {
                                server_script(&server, TOKEN_OK, "t");
                        }
                        server_script(&server, c->status, c->headers, c->body);
                        CHECK(imds_get(imds, "meta-data/x", &wait, &text, &err) < 0);
                        CHECK_INT(err.class, c->class);
                        CHECK_INT(text.size, 0);
                        CHECK_INT(server_count(&server), 2 - on_token);
                        if (!on_token || !string_starts_with(c->status, "403")) {
                                CHECK_CONTAINS(err.message, c->message);
                        }
                        CHECK_CONTAINS(err.message, on_token ? "session token" : "meta-data/x");
                }
        }
}

static void test_disabled(void)
{
        _cleanup_imds_ Imds *imds = make_imds();
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        server_reset(&server, NULL);
        server_script(&server, "403 Forbidden", "", "");
        CHECK(imds_get(imds, "meta-data/x", &wait, &text, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "disabled on this instance");

        server_reset(&server, NULL);
        server_script(&server, "401 Unauthorized", "", "");
        CHECK(imds_get(imds, "meta-data/x", &wait, &text, &err) < 0);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "session token (PUT /latest/api/token): HTTP status 401");
        CHECK_INT(server_count(&server), 1);

        /* A "token" that would smuggle a header, or is empty, is none. */
        const char *const tokens[] = { "", "a b", "a\r\nX-Evil: 1", "\xc3\xbc" };
        FOREACH_ARRAY(token, tokens, ELEMENTS(tokens)) {
                server_reset(&server, NULL);
                server_script(&server, TOKEN_OK, *token);
                CHECK(imds_get(imds, "meta-data/x", &wait, &text, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_INT(server_count(&server), 1);
        }
}

static char *respond_huge(const char *request, unsigned number)
{
        (void) request;
        static char body[(64 << 10) + 2];
        memset(body, 'x', sizeof(body) - 1);
        return make_reply("200 OK", "", number == 0 ? "t" : number == 1 ? body : body + 1);
}

static void test_too_large(void)
{
        _cleanup_imds_ Imds *imds = make_imds();
        _cleanup_buffer_ Buffer text = {}, small = { .max = 16 };
        Wait wait = test_patience();
        Error err = {};
        char word[16];
        server_reset(&server, respond_huge);
        CHECK_INT(imds_get(imds, "meta-data/x", &wait, &text, &err), -EFBIG);
        CHECK_INT(text.size, 0);
        CHECK_INT(imds_get(imds, "meta-data/x", &wait, &text, &err), 1);
        CHECK_INT(text.size, 64 << 10);
        CHECK_INT(imds_get(imds, "meta-data/x", &wait, &small, &err), -EFBIG);
        CHECK(imds_get_word(imds, "meta-data/x", &wait, word, sizeof(word), &err) < 0);
        CHECK_CONTAINS(err.message, "at most 15 characters");
}

static char *respond_silence(const char *request, unsigned number)
{
        (void) request;
        (void) number;
        return strdup("");
}

static char *respond_late(const char *request, unsigned number)
{
        (void) request;
        return number < 2 ? NULL : make_reply("200 OK", "", "late");
}

static void test_unreachable(void)
{
        _cleanup_imds_ Imds *imds = make_imds(), *nobody = NULL;
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_wait(1), longer = test_patience();
        Error err = {};
        uint64_t before = wait_now_ms();
        CHECK_OK(imds_new("http://127.0.0.1:1", &nobody, &err), err);
        CHECK_INT(imds_get(nobody, "meta-data/x", &wait, &text, &err), -ETIMEDOUT);
        uint64_t took = wait_now_ms() - before;
        CHECK(took >= 1000 && took < TEST_CUT_SHORT_MS);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, "nobody answers at http://127.0.0.1:1");
        CHECK_CONTAINS(err.message, "HttpEndpoint");
        CHECK_CONTAINS(err.message, "hop limit");
        CHECK_CONTAINS(err.message, "Connection refused");

        server_reset(&server, respond_silence);
        wait = test_wait(1);
        CHECK_INT(imds_get(imds, "meta-data/x", &wait, &text, &err), -ETIMEDOUT);
        CHECK_CONTAINS(err.message, "nobody answers");

        server_reset(&server, respond_late); /* two connections closed, then it is there */
        CHECK_INT(imds_get(imds, "meta-data/x", &longer, &text, &err), 1);
        CHECK_STR(text.data, "late");

        server_reset(&server, respond_silence); /* it is there, and only this answer is missing */
        wait = test_wait(1);
        CHECK_INT(imds_get(imds, "meta-data/x", &wait, &text, &err), -ETIMEDOUT);
        CHECK_CONTAINS(err.message, "instance metadata: meta-data/x: no reply after ");
        CHECK_CONTAINS(err.message, "though it has answered before");
        CHECK(!strstr(err.message, "nobody answers"));
}

/* Nobody at the first address: the second is asked, and the first never again. */
static void test_fallback(void)
{
        _cleanup_imds_ Imds *imds = NULL;
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        char url[64];
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        const char *const both[] = { "http://127.0.0.1:1", url };
        CHECK_OK(imds_new_at(both, 2, &imds, &err), err);
        server_reset(&server, NULL);
        server_script(&server, TOKEN_OK, "t");
        CHECK_INT(imds_get(imds, "meta-data/x", &wait, &text, &err), 1);
        bool at_once = false; /* without the pause of 50 ms and more after a refusal */
        for (int i = 0; i < 10; i++) {
                uint64_t before = wait_now_ms();
                buffer_done(&text);
                CHECK_INT(imds_get(imds, "meta-data/x", &wait, &text, &err), 1);
                CHECK_STR(text.data, "t");
                at_once |= wait_now_ms() - before < 50;
        }
        CHECK(at_once);
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
        _cleanup_imds_ Imds *nobody = NULL;
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        pthread_t thread;
        wait.stop_fd = eventfd(0, EFD_CLOEXEC);
        CHECK_OK(imds_new("http://127.0.0.1:1", &nobody, &err), err);
        REQUIRE(pthread_create(&thread, NULL, stop_soon, &wait) == 0);
        uint64_t before = wait_now_ms();
        CHECK_INT(imds_get(nobody, "meta-data/x", &wait, &text, &err), -ECANCELED);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
        (void) pthread_join(thread, NULL);
        (void) close(wait.stop_fd);
}

static void test_endpoints(void)
{
        static const char *const bad[] = { "169.254.169.254", "ftp://a", "http://a b", "http://u@a",
                                           "http://a/?b" };
        Imds *imds = NULL;
        Error err = {};
        FOREACH_ARRAY(url, bad, ELEMENTS(bad)) {
                CHECK(imds_new(*url, &imds, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK(!imds);
        }
        char url[64];
        _cleanup_imds_ Imds *by_variable = NULL;
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        CHECK_INT(setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1), 0);
        CHECK_OK(imds_new(NULL, &by_variable, &err), err);
        CHECK_INT(unsetenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), 0);
        server_reset(&server, NULL);
        server_script(&server, TOKEN_OK, "t");
        CHECK_INT(imds_get(by_variable, "x", &wait, &text, &err), 1);
}

#define MACS "meta-data/network/interfaces/macs/"

/* What an instance with two network cards says, the second one's interface EFA-only and listed
 * first; a test may replace one value. Device number 0 is there on each card. */
static const struct {
        const char *path, *value;
} metadata[] = {
        { "meta-data/instance-id", "i-0123456789abcdef0" },
        { "meta-data/placement/region", "us-east-1" },
        { "meta-data/placement/availability-zone", "us-east-1a" },
        { "meta-data/services/partition", "aws" },
        { "meta-data/services/domain", "amazonaws.com" },
        { "meta-data/local-ipv4", "172.20.128.10" },
        { "meta-data/mac", "0a:00:00:00:00:02" },
        { "meta-data/iam/security-credentials/", "kube.master-role_1" },
        { "meta-data/tags/instance/KubernetesRole", "master" },
        { MACS, "0a:00:00:00:00:01/\n0a:00:00:00:00:02/" },
        { MACS "0a:00:00:00:00:01/device-number", "0" },
        { MACS "0a:00:00:00:00:01/network-card", "1" },
        { MACS "0a:00:00:00:00:01/interface-id", "eni-0123456789abcdef1" },
        { MACS "0a:00:00:00:00:02/device-number", "0" },
        { MACS "0a:00:00:00:00:02/network-card", "0" },
        { MACS "0a:00:00:00:00:02/interface-id", "eni-0123456789abcdef2" },
        { MACS "0a:00:00:00:00:02/subnet-ipv4-cidr-block", "172.20.128.0/20" },
        { MACS "0a:00:00:00:00:02/local-ipv4s", "172.20.128.10\n172.20.128.9" },
};
static const char *replaced_path, *replaced_value; /* NULL: 404 */

static char *respond_metadata(const char *request, unsigned number)
{
        (void) number;
        if (string_starts_with(request, "PUT ")) {
                return make_reply("200 OK", "", "t");
        }
        FOREACH_ARRAY(row, metadata, ELEMENTS(metadata)) {
                char line[128];
                (void) snprintf(line, sizeof(line), "GET /2021-07-15/%s HTTP/1.1\r\n", row->path);
                if (string_starts_with(request, line)) {
                        const char *value =
                                streq_ptr(row->path, replaced_path) ? replaced_value : row->value;
                        return value ? make_reply("200 OK", "Content-Type: text/plain\r\n", value)
                                     : make_reply("404 Not Found", "", "");
                }
        }
        return make_reply("404 Not Found", "", "");
}

static void test_identity(void)
{
        _cleanup_imds_ Imds *imds = make_imds();
        Wait wait = test_patience();
        ImdsIdentity id = {};
        Error err = {};
        server_reset(&server, respond_metadata);
        replaced_path = NULL;
        CHECK_OK(imds_identity(imds, &wait, &id, &err), err);
        CHECK_STR(id.instance_id, "i-0123456789abcdef0");
        CHECK_STR(id.zone, "us-east-1a");
        CHECK_STR(id.region, "us-east-1");
        CHECK_STR(id.partition, "aws");
        CHECK_STR(id.domain, "amazonaws.com");
        CHECK_STR(id.local_ip, "172.20.128.10");
        CHECK_STR(id.iam_role, "kube.master-role_1");
        CHECK_STR(id.role_tag, "master");
        REQUIRE(id.n_interfaces == 2);
        CHECK_STR(id.interfaces[0].mac, "0a:00:00:00:00:02");
        CHECK_STR(id.interfaces[0].eni_id, "eni-0123456789abcdef2");
        CHECK_STR(id.interfaces[1].mac, "0a:00:00:00:00:01");
        CHECK_STR(id.interfaces[1].eni_id, "eni-0123456789abcdef1");
        CHECK_STR(id.subnet_cidr, "172.20.128.0/20");
        CHECK_INT(server_count(&server), 14); /* the token, 10 values, 2 interfaces, a subnet */
}

static void test_identity_absent(void)
{
        static const struct {
                const char *path;
                bool needed;
        } cases[] = {
                { "meta-data/instance-id", true },
                { "meta-data/mac", true },
                { MACS, true },
                { MACS "0a:00:00:00:00:01/interface-id", true },
                { MACS "0a:00:00:00:00:02/interface-id", true },
                { MACS "0a:00:00:00:00:02/subnet-ipv4-cidr-block", true },
                { "meta-data/iam/security-credentials/", false },
                { "meta-data/tags/instance/KubernetesRole", false },
                { MACS "0a:00:00:00:00:02/device-number", false },
                { MACS "0a:00:00:00:00:02/local-ipv4s", false },
        };
        Wait wait = test_patience();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_imds_ Imds *imds = make_imds();
                ImdsIdentity id = {};
                Error err = {};
                server_reset(&server, respond_metadata);
                replaced_path = c->path;
                replaced_value = NULL;
                int r = imds_identity(imds, &wait, &id, &err);
                CHECK_INT(r < 0, c->needed);
                CHECK(!c->needed || err.class == ERROR_RETRY);
                CHECK(!c->needed || strstr(err.message, c->path));
        }
}

/* An IPv6-only subnet: no waiting for what will not come. */
static void test_identity_without_ipv4(void)
{
        _cleanup_imds_ Imds *imds = make_imds();
        Wait wait = test_patience();
        ImdsIdentity id = {};
        Error err = {};
        server_reset(&server, respond_metadata);
        replaced_path = "meta-data/local-ipv4";
        replaced_value = NULL;
        CHECK_INT(imds_identity(imds, &wait, &id, &err), -EAFNOSUPPORT);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "this instance has no IPv4 address");
        CHECK_CONTAINS(err.message, "i-0123456789abcdef0");
}

static void test_identity_syntax(void)
{
        static const struct {
                const char *path, *value;
        } cases[] = {
                { "meta-data/instance-id", "i-../../x" },
                { "meta-data/instance-id", "i-0123456789ABCDEF0" },
                { "meta-data/instance-id", "vol-0123456789abcdef0" },
                { "meta-data/instance-id", "i-0123456789abcdef0\n" },
                { "meta-data/placement/region", "us east" },
                { "meta-data/placement/region", "" },
                { "meta-data/placement/availability-zone", "eu-west-1a" },
                { "meta-data/placement/availability-zone", "us-east-1" },
                { "meta-data/placement/region", "us-e" },
                { "meta-data/placement/region", "us-east-" },
                { "meta-data/services/domain", "evil/x" },
                { "meta-data/local-ipv4", "172.20.128.300" },
                { "meta-data/mac", "0a:00:00:00:00:0g" },
                { "meta-data/mac", "eth0" },
                { "meta-data/iam/security-credentials/", "../x" },
                { MACS, "0a:00:00:00:00:0g/" },
                { MACS, "0A:00:00:00:00:01/" },
                { MACS, "../../user-data" },
                { MACS "0a:00:00:00:00:01/interface-id", "eni-1" },
                { MACS "0a:00:00:00:00:02/subnet-ipv4-cidr-block", "172.20.128.0/33" },
                { MACS "0a:00:00:00:00:02/subnet-ipv4-cidr-block", "172.20.128.0" },
        };
        Wait wait = test_patience();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_imds_ Imds *imds = make_imds();
                ImdsIdentity id = { .n_interfaces = 99 };
                Error err = {};
                server_reset(&server, respond_metadata);
                replaced_path = c->path;
                replaced_value = c->value;
                if (imds_identity(imds, &wait, &id, &err) != -EBADMSG) {
                        test_fail(__FILE__, __LINE__, "%s \"%s\": %s", c->path, c->value,
                                  err.message);
                }
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_INT(id.n_interfaces, 99);
        }
}

static void test_macs(void)
{
        ImdsInterface interfaces[IMDS_INTERFACES_MAX] = {};
        char text[(IMDS_INTERFACES_MAX + 1) * 19 + 1];
        size_t n = 99;
        for (size_t i = 0; i <= IMDS_INTERFACES_MAX; i++) {
                (void) snprintf(text + i * 19, 20, "0a:00:00:00:%02zx:%02zx/\n", i >> 8, i & 255);
        }
        CHECK_INT(imds_parse_macs(text, IMDS_INTERFACES_MAX * 19, interfaces, &n, ERROR_IGNORED),
                  0);
        CHECK_INT(n, IMDS_INTERFACES_MAX);
        CHECK_INT(imds_parse_macs(text, strlen(text), interfaces, &n, ERROR_IGNORED), -E2BIG);
        CHECK_INT(imds_parse_macs("", 0, interfaces, &n, ERROR_IGNORED), 0);
        CHECK_INT(n, 0);
        CHECK_INT(imds_parse_macs("0a:00:00:00:00:01", 17, interfaces, &n, ERROR_IGNORED), 0);
        CHECK_INT(n, 1);
}

/* https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html */
static void test_account(void)
{
        static const char *const none[] = {
                "",
                "[]",
                "{}",
                "{\"accountId\":123456789012}",
                "{\"accountId\":\"12345678901\"}",
                "{\"accountId\":\"1234567890123\"}",
                "{\"accountId\":\"12345678901x\"}",
                "{\"accountId\":\"123456789012",
        };
        char id[IMDS_ACCOUNT_MAX] = "kept";
        FOREACH_ARRAY(text, none, ELEMENTS(none)) {
                Error err = {};
                CHECK_INT(imds_parse_account(*text, strlen(*text), id, &err), -EBADMSG);
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK_STR(id, "kept");
        }
        _cleanup_imds_ Imds *imds = make_imds();
        Wait wait = test_patience();
        Error err = {};
        server_reset(&server, NULL);
        server_script(&server, TOKEN_OK, "t");
        server_script(&server, "200 OK", "",
                      "{\n  \"devpayProductCodes\" : null,\n  \"accountId\" : \"123456789012\",\n"
                      "  \"region\" : \"us-west-2\"\n}");
        CHECK_OK(imds_account(imds, &wait, id, &err), err);
        CHECK_STR(id, "123456789012");
        CHECK_CONTAINS(server_request(&server, 1), "/dynamic/instance-identity/document HTTP");
        server_reset(&server, NULL);
        server_script(&server, "404 Not Found", "", "");
        CHECK_INT(imds_account(imds, &wait, id, &err), -ENOENT);
        CHECK_INT(err.class, ERROR_RETRY);
}

int main(void)
{
        Error err = {};
        if (http_init(&err) < 0) {
                abort();
        }
        server_start(&server);
        test_case("a value, by one token, at the pinned version", test_value);
        test_case("404 is absence", test_absent);
        test_case("a token is renewed once on 401", test_renewal);
        test_case("HTML and statuses are no values", test_refusals);
        test_case("no token: disabled, refused, or none", test_disabled);
        test_case("sizes are bounded", test_too_large);
        test_case("nobody there: retried until the wait is over", test_unreachable);
        test_case("the second address where the first does not answer", test_fallback);
        test_case("a stop request ends it", test_stop);
        test_case("endpoints", test_endpoints);
        test_case("identity", test_identity);
        test_case("identity: what may be absent", test_identity_absent);
        test_case("identity: without an IPv4 address", test_identity_without_ipv4);
        test_case("identity: each value is checked", test_identity_syntax);
        test_case("a list of interfaces", test_macs);
        test_case("the account, of the identity document", test_account);
        server_reset(&server, NULL);
        http_done();
        return test_done();
}
