/* SPDX-License-Identifier: Apache-2.0 */

/* How the AWS client takes what goes wrong in the simulated region: run by
 * test/integration/region/test_aws.py, which names it in KUBE_BOOTSTRAP_TEST_REGION. */

#include "region_world.h"

static void test_faults(void)
{
        static const struct {
                const char *fault;
                int requests; /* until the answer comes; 0: refused */
        } cases[] = {
                { "\"effect\":\"error\",\"status\":503,\"code\":\"RequestLimitExceeded\",\"count\":"
                  "2",
                  3 },
                { "\"effect\":\"error\",\"status\":500,\"code\":\"InternalError\"", 2 },
                { "\"effect\":\"html\",\"status\":502", 2 },
                { "\"effect\":\"close\"", 2 },
                { "\"effect\":\"cut\"", 2 },
                { "\"effect\":\"lost\"", 2 },
                { "\"effect\":\"silence\",\"ms\":200", 2 },
                { "\"effect\":\"delay\",\"ms\":300", 1 },
                { "\"effect\":\"html\"", 0 },
                { "\"effect\":\"garbage\"", 0 },
                { "\"effect\":\"truncate\"", 0 },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_actor_ Actor a = make_actor("master");
                Ec2Volume volume = {};
                char body[256];
                Wait wait = test_patience();
                Error err = {};
                (void) snprintf(body, sizeof(body), "{\"action\":\"DescribeVolumes\",%s}",
                                c->fault);
                calls_reset();
                fault(body);
                int r = ec2_describe_volume(a.client, in_world("volume_id"), &wait, &volume, &err);
                no_faults();
                if (c->requests > 0 ? r < 0 : r >= 0 || err.class != ERROR_RETRY) {
                        test_fail(__FILE__, __LINE__, "%s: %d %s", c->fault, r, err.message);
                }
                /* asked of the region: libcurl repeats by itself what died on a kept connection */
                CHECK_INT(calls("ec2:DescribeVolumes"), c->requests ? c->requests : 1);
        }
}

static void test_gives_up(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        Ec2Volume volume = {};
        Wait wait = test_wait(2);
        Error err = {};
        calls_reset();
        fault("{\"action\":\"DescribeVolumes\",\"effect\":\"error\",\"status\":500,\"count\":0}");
        CHECK_REFUSED(ec2_describe_volume(a.client, in_world("volume_id"), &wait, &volume, &err),
                      err, ERROR_RETRY, "InternalError", "ec2:DescribeVolumes on vol-");
        CHECK(err.http_status == 500 && err.request_id[0]);
        no_faults();
        CHECK(calls("ec2:DescribeVolumes") <= 5);
        fault("{\"action\":\"DescribeVolumes\",\"effect\":\"silence\",\"count\":0}");
        wait = test_wait(1);
        uint64_t before = wait_now_ms();
        CHECK(ec2_describe_volume(a.client, in_world("volume_id"), &wait, &volume, &err) < 0);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
        CHECK_INT(err.class, ERROR_RETRY);
        no_faults();
}

static void test_expired(void)
{
        static const char *const services[] = { "ec2", "s3" };
        FOREACH_ARRAY(service, services, ELEMENTS(services)) {
                _cleanup_actor_ Actor a = make_actor("master");
                _cleanup_s3_bucket_ S3Bucket *bucket = NULL;
                _cleanup_buffer_ Buffer text = {};
                Ec2Volume volume = {};
                Wait wait = test_patience();
                Error err = {};
                bool s3 = streq(*service, "s3");
                CHECK_OK(s3_bucket_new(a.client, in_world("bucket"), "123456789012", NULL, &bucket,
                                       &err),
                         err);
                CHECK_INT(s3_get(bucket, "pki/none", 10, &wait, &text, NULL, &err), 0);
                control_do("POST", "/credentials/expire", "{}");
                calls_reset();
                CHECK_INT(s3 ? s3_get(bucket, "pki/none", 10, &wait, &text, NULL, &err)
                             : ec2_describe_volume(a.client, in_world("volume_id"), &wait, &volume,
                                                   &err),
                          0);
                CHECK_INT(aws_client_requests(a.client), 3); /* the first, the refused, the new */
                CHECK_INT(calls("imds:GetMetadata"), 2);     /* the role and its new keys */
                CHECK_INT(calls("imds:PutToken"), 0);
        }
}

static void test_skew(void)
{
        static const struct {
                const char *fault;
                int64_t offset;
        } cases[] = {
                { "{\"action\":\"*\",\"effect\":\"skew\",\"seconds\":3600,\"count\":0}", 3600 },
                { "{\"action\":\"*\",\"effect\":\"skew\",\"seconds\":-3600,\"count\":0}", -3600 },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_actor_ Actor a = make_actor("master");
                _cleanup_s3_bucket_ S3Bucket *bucket = NULL;
                _cleanup_buffer_ Buffer text = {};
                Ec2Volume volume = {};
                Wait wait = test_patience();
                Error err = {};
                bool known;
                int64_t offset;
                CHECK_OK(s3_bucket_new(a.client, in_world("bucket"), "123456789012", NULL, &bucket,
                                       &err),
                         err);
                fault(c->fault);
                CHECK_OK(ec2_describe_volume(a.client, in_world("volume_id"), &wait, &volume, &err),
                         err);
                CHECK_INT(aws_client_requests(a.client), 2);
                aws_client_clock_offset(a.client, &known, &offset);
                CHECK(known && llabs(offset - c->offset) < 5);
                CHECK_INT(s3_get(bucket, "pki/none", 10, &wait, &text, NULL, &err), 0);
                CHECK_INT(aws_client_requests(a.client), 3);
                no_faults(); /* the clocks agree again */
                CHECK_INT(s3_get(bucket, "pki/none", 10, &wait, &text, NULL, &err), 0);
                aws_client_clock_offset(a.client, &known, &offset);
                CHECK(llabs(offset) < 5);
        }
}

static void test_metadata_faults(void)
{
        static const struct {
                const char *fault;
                ErrorClass class;
                const char *message;
        } cases[] = {
                { "{\"effect\":\"html\",\"count\":0}", ERROR_CONFIG, "something else answers" },
                { "{\"effect\":\"html\",\"status\":503,\"count\":0}", ERROR_RETRY, "503" },
                { "{\"action\":\"imds:GetMetadata\",\"effect\":\"html\"}", ERROR_CONFIG,
                  "something else answers" },
                { "{\"action\":\"imds:GetMetadata\",\"effect\":\"error\",\"status\":401,\"count\":"
                  "0}",
                  ERROR_DENIED, "HTTP status 401" },
                { "{\"action\":\"imds:PutToken\",\"effect\":\"error\",\"status\":401,\"count\":0}",
                  ERROR_DENIED, "session token (PUT /latest/api/token): HTTP status 401" },
                { "{\"action\":\"imds:PutToken\",\"effect\":\"error\",\"status\":403,\"count\":0}",
                  ERROR_CONFIG, "disabled on this instance" },
                { "{\"effect\":\"silence\",\"count\":0}", ERROR_RETRY, "hop limit" },
                { "{\"effect\":\"close\",\"count\":0}", ERROR_RETRY, "nobody answers" },
                { "{\"effect\":\"garbage\",\"count\":0}", ERROR_CONFIG, "something else" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_actor_ Actor a = make_actor("master");
                ImdsIdentity id = {};
                Wait wait = c->class == ERROR_RETRY ? test_wait(3) : test_patience();
                Error err = {};
                control_do("POST", "/imds-faults", c->fault);
                uint64_t before = wait_now_ms();
                CHECK(imds_identity(a.imds, &wait, &id, &err) < 0);
                CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
                if (err.class != c->class || !strstr(err.message, c->message)) {
                        test_fail(__FILE__, __LINE__, "%s: %s: %s", c->fault,
                                  error_class_to_string(err.class), err.message);
                }
                no_faults();
        }
}

static void test_metadata_recovers(void)
{
        _cleanup_actor_ Actor a = make_actor("master"), none = make_actor("no_role");
        ImdsIdentity id = {};
        AwsKeys keys = {};
        Wait wait = test_patience(), brief = test_wait(5);
        Error err = {};
        control_do("POST", "/imds-faults", "{\"effect\":\"close\",\"count\":2}");
        CHECK_OK(imds_identity(a.imds, &wait, &id, &err), err);
        control_do("POST", "/imds/expire-tokens", "{}");
        calls_reset();
        CHECK_OK(imds_identity(a.imds, &wait, &id, &err), err);
        CHECK_INT(calls("imds:PutToken"), 1);
        CHECK(credentials_get(none.credentials, &brief, &keys, &err) < 0);
        CHECK_INT(err.class, ERROR_RETRY); /* ERROR_CONFIG only after 60 s */
        CHECK_CONTAINS(err.message, "IAM role");
}

int main(void)
{
        Error err = {};
        const char *path = getenv("KUBE_BOOTSTRAP_TEST_REGION");
        if (!path) {
                test_skip("failures of the simulated region",
                          "test/integration/region/test_aws.py runs this");
                return test_done();
        }
        world = json_load_file(path, 0, NULL);
        if (!world || http_init(&err) < 0) {
                abort();
        }
        test_case("faults that pass, and replies that are none", test_faults);
        test_case("faults that stay", test_gives_up);
        test_case("expired credentials are renewed", test_expired);
        test_case("a skewed clock is corrected, and forgotten", test_skew);
        test_case("IMDS: HTML, 401, 403, silence", test_metadata_faults);
        test_case("IMDS: recovers", test_metadata_recovers);
        json_decref(world);
        http_done();
        return test_done();
}
