/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/credentials.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "aws/imds_internal.h"
#include "host/http.h"
#include "scripted_server.h"

DEFINE_CLEANUP(Imds *, imds_free);
DEFINE_CLEANUP(Credentials *, credentials_free);

static ScriptedServer server;
static atomic_int n_documents; /* how often the keys were asked for */
static int absent_first;       /* how often the role is 404 before it is there */
static int refused_first;      /* how often its credentials have another Code than Success */
static int lifetime_s;
static _Atomic time_t later_s;              /* the clocks of this program are ahead by */
static int absent_takes_s, refused_takes_s; /* how much later it is after each such answer */

/* In the C library's place. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
        int r = (int) syscall(SYS_clock_gettime, clock, ret);
        ret->tv_sec += later_s;
        return r;
}

time_t time(time_t *ret)
{
        struct timespec now;
        (void) clock_gettime(CLOCK_REALTIME, &now);
        if (ret) {
                *ret = now.tv_sec;
        }
        return now.tv_sec;
}

/* A role whose keys are numbered by how often they were asked for. */
static char *respond_role(const char *request, unsigned number)
{
        (void) number;
        if (string_starts_with(request, "PUT ")) {
                return make_reply("200 OK", "", "t");
        }
        if (strstr(request, "security-credentials/ HTTP")) {
                later_s += absent_first > 0 ? absent_takes_s : 0;
                return absent_first-- > 0 ? make_reply("404 Not Found", "", "")
                                          : make_reply("200 OK", "", "node");
        }
        if (!strstr(request, "security-credentials/node HTTP")) {
                return make_reply("404 Not Found", "", "");
        }
        if (refused_first > 0) {
                refused_first--;
                later_s += refused_takes_s;
                return make_reply("200 OK", "", "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}");
        }
        char stamp[32], body[512];
        time_t ends = time(NULL) + lifetime_s;
        struct tm tm;
        (void) strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&ends, &tm));
        int n = atomic_fetch_add(&n_documents, 1) + 1;
        struct timespec pause = { .tv_nsec = 50 * 1000000 }; /* so that others come meanwhile */
        (void) nanosleep(&pause, NULL);
        (void) snprintf(body, sizeof(body),
                        "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIA%d\","
                        "\"SecretAccessKey\":\"secret/%d\",\"Token\":\"token+%d==\","
                        "\"Expiration\":\"%s\"}",
                        n, n, n, stamp);
        return make_reply("200 OK", "Content-Type: text/plain\r\n", body);
}

static void begin(int absent, int lifetime, Imds **ret_imds, Credentials **ret)
{
        char url[64];
        Error err = {};
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        server_reset(&server, respond_role);
        atomic_store(&n_documents, 0);
        absent_first = absent;
        lifetime_s = lifetime;
        if (imds_new(url, ret_imds, &err) < 0 || credentials_new_imds(*ret_imds, ret, &err) < 0) {
                abort();
        }
}

static void check_id(Credentials *credentials, const char *expected)
{
        _cleanup_aws_keys_ AwsKeys keys = {};
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(credentials_get(credentials, &wait, &keys, &err), err);
        CHECK_STR(keys.access_key_id, expected);
}

static void test_fetch(void)
{
        _cleanup_(imds_freep) Imds *imds = NULL;
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        _cleanup_aws_keys_ AwsKeys keys = {};
        Wait wait = test_patience();
        Error err = {};
        begin(2, 3600, &imds, &credentials); /* a young instance: 404 at first */
        CHECK_OK(credentials_get(credentials, &wait, &keys, &err), err);
        CHECK_STR(keys.access_key_id, "ASIA1");
        CHECK_STR(keys.secret_access_key.data, "secret/1");
        CHECK_STR(keys.session_token.data, "token+1==");
        CHECK(keys.secret_access_key.wipe && keys.session_token.wipe);
        CHECK(keys.expires - time(NULL) > 3500 && keys.expires - time(NULL) <= 3600);
        check_id(credentials, "ASIA1"); /* kept */
        CHECK_INT(atomic_load(&n_documents), 1);
}

static void test_refused(void)
{
        _cleanup_(imds_freep) Imds *imds = NULL;
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        _cleanup_aws_keys_ AwsKeys first = {};
        Wait wait = test_patience();
        Error err = {};
        begin(0, 3600, &imds, &credentials);
        CHECK_OK(credentials_get(credentials, &wait, &first, &err), err);
        CHECK(credentials_invalidate(credentials, &first));
        check_id(credentials, "ASIA2");
        CHECK(credentials_invalidate(credentials, &first)); /* late news of the old ones */
        check_id(credentials, "ASIA2");
        CHECK_INT(atomic_load(&n_documents), 2);
}

/* Keys that are old by our clock when they come: used, and not asked for at every call. */
static void test_near_expiry(void)
{
        _cleanup_(imds_freep) Imds *imds = NULL;
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        begin(0, -3600, &imds, &credentials);
        check_id(credentials, "ASIA1");
        check_id(credentials, "ASIA1");
        CHECK_INT(atomic_load(&n_documents), 1);
}

static void test_renewal(void)
{
        _cleanup_(imds_freep) Imds *imds = NULL;
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        begin(0, 3600, &imds, &credentials);
        check_id(credentials, "ASIA1");
        later_s = 3600 - 330;
        check_id(credentials, "ASIA1");
        later_s = 3600 - 270; /* five minutes before they expire */
        check_id(credentials, "ASIA2");
        later_s = 0;
}

static void *get_from_thread(void *userdata)
{
        _cleanup_aws_keys_ AwsKeys keys = {};
        Wait wait = test_patience();
        return credentials_get(userdata, &wait, &keys, ERROR_IGNORED) == 0 &&
                               streq(keys.access_key_id, "ASIA1")
                       ? userdata
                       : NULL;
}

static void test_single_flight(void)
{
        _cleanup_(imds_freep) Imds *imds = NULL;
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        pthread_t threads[8];
        begin(0, 3600, &imds, &credentials);
        FOREACH_ARRAY(thread, threads, ELEMENTS(threads)) {
                REQUIRE(pthread_create(thread, NULL, get_from_thread, credentials) == 0);
        }
        FOREACH_ARRAY(thread, threads, ELEMENTS(threads)) {
                void *ok = NULL;
                CHECK_INT(pthread_join(*thread, &ok), 0);
                CHECK(ok == credentials);
        }
        CHECK_INT(atomic_load(&n_documents), 1);
}

static void test_no_role(void)
{
        _cleanup_(imds_freep) Imds *imds = NULL;
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        AwsKeys keys = { .access_key_id = "kept" };
        Wait wait = test_wait(10);
        Error err = {};
        begin(1000, 3600, &imds, &credentials);
        absent_takes_s = 50;
        CHECK_INT(credentials_get(credentials, &wait, &keys, &err), -ETIMEDOUT);
        absent_takes_s = later_s = 0;
        CHECK_INT(err.class, ERROR_RETRY); /* not 60 s yet: it may come */
        CHECK_CONTAINS(err.message, "IAM role");
        CHECK_STR(keys.access_key_id, "kept");
}

/* https://github.com/aws/amazon-ecs-agent/issues/5134: another Code may pass. */
static void test_late(void)
{
        _cleanup_(imds_freep) Imds *imds = NULL;
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        _cleanup_aws_keys_ AwsKeys keys = {};
        Wait wait = { .deadline_ms = UINT64_MAX, .stop_fd = -1 };
        Error err = {};
        begin(1, 3600, &imds, &credentials);
        absent_takes_s = refused_takes_s = 20;
        refused_first = 2;
        CHECK_OK(credentials_get(credentials, &wait, &keys, &err), err);
        CHECK_STR(keys.access_key_id, "ASIA1");
        absent_takes_s = refused_takes_s = later_s = 0;
}

/* After the grace each call asks once, and what it is told is AWS's word, not the file's. */
static void test_missing_for_long(void)
{
        static const struct {
                int absent, refused;
                const char *message;
                int error;
        } cases[] = {
                { 1000, 0, "no IAM role", ENOENT },
                { 0, 1000, "\"AssumeRoleUnauthorizedAccess\"", EACCES },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_(imds_freep) Imds *imds = NULL;
                _cleanup_(credentials_freep) Credentials *credentials = NULL;
                AwsKeys keys = {};
                Wait wait = { .deadline_ms = UINT64_MAX, .stop_fd = -1 };
                begin(c->absent, 3600, &imds, &credentials);
                absent_takes_s = refused_takes_s = 25;
                refused_first = c->refused;
                for (unsigned call = 0; call < 2; call++) {
                        Error err = {};
                        unsigned before = server_count(&server);
                        CHECK_INT(credentials_get(credentials, &wait, &keys, &err), -c->error);
                        CHECK_INT(err.class, ERROR_CONFIG);
                        CHECK_INT(err.source, ERROR_FROM_AWS);
                        CHECK_CONTAINS(err.message, c->message);
                        unsigned n = server_count(&server) - before;
                        CHECK(call == 0 ? n >= 4 : n <= 2);
                }
                absent_first = refused_first = 0;
                check_id(credentials, "ASIA1");
                absent_takes_s = refused_takes_s = later_s = 0;
        }
}

static void test_static(void)
{
        _cleanup_(credentials_freep) Credentials *credentials = NULL;
        _cleanup_aws_keys_ AwsKeys keys = {}, empty = {};
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(credentials_new_static("AKID", "secret", NULL, &credentials, &err), err);
        CHECK_OK(credentials_get(credentials, &wait, &keys, &err), err);
        CHECK_STR(keys.access_key_id, "AKID");
        CHECK_STR(keys.secret_access_key.data, "secret");
        CHECK_INT(keys.session_token.size, 0);
        CHECK(!credentials_invalidate(credentials, &keys));
        char long_id[200];
        memset(long_id, 'A', sizeof(long_id) - 1);
        long_id[sizeof(long_id) - 1] = '\0';
        Credentials *none = NULL;
        CHECK(credentials_new_static(long_id, "s", NULL, &none, &err) < 0);
        CHECK(!none);
}

#define GOOD                                                                       \
        "\"Code\":\"Success\",\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"s\"," \
        "\"Expiration\":\"2026-11-25T14:00:00Z\""

static void test_documents(void)
{
        static const struct {
                const char *text;
                ErrorClass class;
                const char *message;
        } cases[] = {
                { "", ERROR_RETRY, "no JSON object" },
                { "[]", ERROR_RETRY, "no JSON object" },
                { "{\"Code\":", ERROR_RETRY, "no JSON object" },
                { "{}", ERROR_RETRY, "no proper Code" },
                { "{\"Code\":\"<b> </b>\"}", ERROR_RETRY, "no proper Code" },
                { "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", ERROR_CONFIG, "AssumeRole" },
                { "{\"Code\":\"Success\"}", ERROR_RETRY, "AccessKeyId" },
                { "{" GOOD ",\"AccessKeyId\":\"B\"}", ERROR_RETRY, "no JSON object" },
                { "{\"Code\":\"Success\",\"AccessKeyId\":\"a/b\"}", ERROR_RETRY, "AccessKeyId" },
                { "{\"Code\":\"Success\",\"AccessKeyId\":\"A\"}", ERROR_RETRY, "Expiration" },
                { "{\"Code\":\"Success\",\"AccessKeyId\":\"A\",\"Expiration\":\"tomorrow\"}",
                  ERROR_RETRY, "Expiration" },
                { "{\"Code\":\"Success\",\"AccessKeyId\":\"A\","
                  "\"Expiration\":\"2026-11-25T14:00:00+01:00\"}",
                  ERROR_RETRY, "Expiration" },
                { "{\"Code\":\"Success\",\"AccessKeyId\":\"A\","
                  "\"Expiration\":\"2026-11-25T14:00:00Z\"}",
                  ERROR_RETRY, "SecretAccessKey" },
                { "{" GOOD ",\"Token\":\"a\\r\\nX-Evil: 1\"}", ERROR_RETRY, "Token" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                AwsKeys keys = {};
                Error err = {};
                CHECK(imds_parse_credentials(c->text, strlen(c->text), &keys, &err) < 0);
                CHECK_INT(err.class, c->class);
                CHECK_CONTAINS(err.message, c->message);
                CHECK(!keys.secret_access_key.data && !keys.access_key_id[0]);
                CHECK(!strstr(err.message, "X-Evil"));
        }
        _cleanup_aws_keys_ AwsKeys keys = {};
        Error err = {};
        CHECK_OK(imds_parse_credentials("{" GOOD "}", strlen("{" GOOD "}"), &keys, &err), err);
        CHECK_INT(keys.expires, 1795615200);
}

int main(void)
{
        Error err = {};
        if (http_init(&err) < 0) {
                abort();
        }
        server_start(&server);
        test_case("fetched when needed, 404 at first, then kept", test_fetch);
        test_case("refused ones are fetched anew, once", test_refused);
        test_case("keys that come old are used", test_near_expiry);
        test_case("they are renewed before they expire", test_renewal);
        test_case("one thread fetches, the others wait for it", test_single_flight);
        test_case("no role yet", test_no_role);
        test_case("a late role, and credentials that are refused at first", test_late);
        test_case("what is missing for longer than the grace", test_missing_for_long);
        test_case("fixed keys", test_static);
        test_case("documents that are none", test_documents);
        server_reset(&server, NULL);
        http_done();
        return test_done();
}
