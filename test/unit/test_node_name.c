/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/node_name.h"

#include <errno.h>

#include "harness.h"

#define TEN "0123456789"

/* https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names, and
 * not more than the value of a label may have. */
static void test_valid(void)
{
        static const struct {
                const char *name;
                bool valid;
        } cases[] = {
                { "ip-10-0-3-4.ec2.internal", true },
                { "i-0123456789abcdef0.us-west-2.compute.internal", true },
                { "ip-10-0-3-4", true },
                { "4", true },
                { "a--b.c", true },
                { TEN TEN TEN TEN TEN TEN "abc", true },
                { TEN TEN TEN TEN TEN TEN "abcd", false },
                { "", false },
                { ".", false },
                { ".a", false },
                { "a.", false },
                { "a..b", false },
                { "-a", false },
                { "a-", false },
                { "a.-b", false },
                { "a-.b", false },
                { "A", false },
                { "a_b", false },
                { "a b", false },
                { "a*", false },
                { "a/b", false },
                { "\xc3\xa4", false },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                if (node_name_is_valid(c->name, strlen(c->name)) != c->valid) {
                        test_fail(__FILE__, __LINE__, "\"%s\"", c->name);
                }
        }
        CHECK(!node_name_is_valid("a\0b", 3));
        CHECK(node_name_is_valid("ab-", 2)); /* n says where it ends */
}

static void test_from_ec2(void)
{
        char name[NODE_NAME_MAX + 1] = "kept";
        Error err = {};
        CHECK_OK(node_name_from_ec2("ip-10-0-3-4.ec2.internal", name, &err), err);
        CHECK_STR(name, "ip-10-0-3-4.ec2.internal");
        CHECK_OK(node_name_from_ec2("ip-10-0-3-4.Corp.Example.COM", name, &err), err);
        CHECK_STR(name, "ip-10-0-3-4.corp.example.com");

        CHECK_INT(node_name_from_ec2("ip-172-20-128-101.eu-central-1.kubernetes.platform.internal."
                                     "example.org",
                                     name, &err),
                  -EINVAL);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "has 71 characters");
        CHECK_CONTAINS(err.message, "at most 63");
        CHECK_CONTAINS(err.message, "DHCP option set");
        CHECK_INT(node_name_from_ec2("ip-10-0-3-4.my_corp", name, &err), -EINVAL);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "\"ip-10-0-3-4.my_corp\"");
        CHECK_CONTAINS(err.message, "RFC 1123");
        CHECK_STR(name, "ip-10-0-3-4.corp.example.com");
}

int main(void)
{
        test_case("a Node's name", test_valid);
        test_case("a Node's name from EC2's", test_from_ec2);
        return test_done();
}
