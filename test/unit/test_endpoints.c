/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/endpoints.h"

#include <stdlib.h>

#include "harness.h"

static const char *const variables[] = { "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2",
                                         "AWS_ENDPOINT_URL_S3", "AWS_USE_FIPS_ENDPOINT",
                                         "AWS_USE_DUALSTACK_ENDPOINT" };

static void clear_environment(void)
{
        FOREACH_ARRAY(name, variables, ELEMENTS(variables)) {
                CHECK_INT(unsetenv(*name), 0);
        }
}

/* The hosts that botocore's endpoint rules give. */
static void test_regions(void)
{
        static const struct {
                const char *service, *region, *domain;
                const char *plain, *fips, *dual, *both; /* NULL: refused */
        } cases[] = {
                { "ec2", "us-east-1", NULL, "https://ec2.us-east-1.amazonaws.com",
                  "https://ec2-fips.us-east-1.amazonaws.com", "https://ec2.us-east-1.api.aws",
                  "https://ec2-fips.us-east-1.api.aws" },
                { "ec2", "eu-central-1", "amazonaws.com", "https://ec2.eu-central-1.amazonaws.com",
                  "https://ec2-fips.eu-central-1.amazonaws.com", "https://ec2.eu-central-1.api.aws",
                  "https://ec2-fips.eu-central-1.api.aws" },
                { "ec2", "cn-north-1", NULL, "https://ec2.cn-north-1.amazonaws.com.cn", NULL,
                  "https://ec2.cn-north-1.api.amazonwebservices.com.cn", NULL },
                { "ec2", "us-gov-west-1", "amazonaws.com",
                  "https://ec2.us-gov-west-1.amazonaws.com",
                  "https://ec2.us-gov-west-1.amazonaws.com", "https://ec2.us-gov-west-1.api.aws",
                  "https://ec2-fips.us-gov-west-1.api.aws" },
                { "s3", "us-east-1", NULL, "https://s3.us-east-1.amazonaws.com",
                  "https://s3-fips.us-east-1.amazonaws.com",
                  "https://s3.dualstack.us-east-1.amazonaws.com",
                  "https://s3-fips.dualstack.us-east-1.amazonaws.com" },
                { "s3", "ap-southeast-2", NULL, "https://s3.ap-southeast-2.amazonaws.com",
                  "https://s3-fips.ap-southeast-2.amazonaws.com",
                  "https://s3.dualstack.ap-southeast-2.amazonaws.com",
                  "https://s3-fips.dualstack.ap-southeast-2.amazonaws.com" },
                { "s3", "cn-northwest-1", "amazonaws.com.cn",
                  "https://s3.cn-northwest-1.amazonaws.com.cn", NULL,
                  "https://s3.dualstack.cn-northwest-1.amazonaws.com.cn", NULL },
                { "s3", "us-gov-east-1", NULL, "https://s3.us-gov-east-1.amazonaws.com",
                  "https://s3-fips.us-gov-east-1.amazonaws.com",
                  "https://s3.dualstack.us-gov-east-1.amazonaws.com",
                  "https://s3-fips.dualstack.us-gov-east-1.amazonaws.com" },
                { "ec2", "us-iso-east-1", "c2s.ic.gov", "https://ec2.us-iso-east-1.c2s.ic.gov",
                  "https://ec2-fips.us-iso-east-1.c2s.ic.gov", NULL, NULL },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                for (unsigned i = 0; i < 4; i++) {
                        const char *expected[] = { c->plain, c->fips, c->dual, c->both };
                        Endpoint endpoint = {};
                        Error err = {};
                        clear_environment();
                        CHECK_INT(setenv("AWS_USE_FIPS_ENDPOINT", i & 1 ? "true" : "false", 1), 0);
                        CHECK_INT(setenv("AWS_USE_DUALSTACK_ENDPOINT", i & 2 ? "True" : "", 1), 0);
                        int r = endpoint_resolve(c->service, c->region, c->domain, &endpoint, &err);
                        CHECK_INT(r < 0, !expected[i]);
                        CHECK_STR(endpoint.url, expected[i] ? expected[i] : "");
                        CHECK(r == 0 || err.class == ERROR_CONFIG);
                        CHECK(!endpoint.overridden);
                }
        }
        clear_environment();
}

static void test_overrides(void)
{
        Endpoint endpoint = {};
        Error err = {};
        CHECK_INT(setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000/", 1), 0);
        CHECK_INT(setenv("AWS_ENDPOINT_URL_S3", "https://s3.test", 1), 0);
        CHECK_OK(endpoint_resolve("ec2", "us-east-1", NULL, &endpoint, &err), err);
        CHECK_STR(endpoint.url, "http://127.0.0.1:5000");
        CHECK(endpoint.overridden);
        CHECK_OK(endpoint_resolve("s3", "us-east-1", NULL, &endpoint, &err), err);
        CHECK_STR(endpoint.url, "https://s3.test");
        CHECK_INT(setenv("AWS_ENDPOINT_URL_S3", "", 1), 0); /* empty is not set */
        CHECK_OK(endpoint_resolve("s3", "us-east-1", NULL, &endpoint, &err), err);
        CHECK_STR(endpoint.url, "http://127.0.0.1:5000");
        clear_environment();
}

static void test_refusals(void)
{
        static const char *const urls[] = { "127.0.0.1:5000",    "ftp://a",       "http://",
                                            "https://a/b",       "https://u@a",   "https://a?b",
                                            "https://a b",       "https://a#b",   "http:///",
                                            "https://a\nHost:b", "file:///etc/x", "https:a" };
        static const char *const regions[] = { "",          "us east", "us-east-1.evil",
                                               "US-EAST-1", "1",       "us/../x",
                                               "-a" };
        Endpoint endpoint = { .url = "untouched" };
        FOREACH_ARRAY(url, urls, ELEMENTS(urls)) {
                Error err = {};
                CHECK_INT(setenv("AWS_ENDPOINT_URL_EC2", *url, 1), 0);
                CHECK(endpoint_resolve("ec2", "us-east-1", NULL, &endpoint, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_CONTAINS(err.message, "AWS_ENDPOINT_URL_EC2=");
        }
        clear_environment();
        FOREACH_ARRAY(region, regions, ELEMENTS(regions)) {
                Error err = {};
                CHECK(endpoint_resolve("ec2", *region, NULL, &endpoint, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
        }
        CHECK(endpoint_resolve("ec2", NULL, NULL, &endpoint, ERROR_IGNORED) < 0);
        CHECK(endpoint_resolve("ec2", "us-east-1", "a/b", &endpoint, ERROR_IGNORED) < 0);
        CHECK_STR(endpoint.url, "untouched");
}

int main(void)
{
        clear_environment();
        test_case("endpoints of nine regions and services, FIPS and dual stack", test_regions);
        test_case("AWS_ENDPOINT_URL_<SERVICE> before AWS_ENDPOINT_URL", test_overrides);
        test_case("what is no endpoint, region or domain is refused", test_refusals);
        return test_done();
}
