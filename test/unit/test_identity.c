/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "imds_world.h"

/* Identity run by the engine: one server is IMDS and EC2. A DHCP option set names the machine
 * otherwise than EC2 does. */

#define NAME "ip-172-20-128-10.ec2.internal"

static const char *name_of_primary; /* NULL: EC2 shows none */
static bool denies;

static unsigned role_absent; /* looks at the role that find none */

static char *respond(const char *request, unsigned number)
{
        (void) number;
        if (role_absent > 0 && strstr(request, "/security-credentials/ HTTP")) {
                role_absent--;
                return make_reply("404 Not Found", "", "");
        }
        char *reply = imds_answer(request);
        if (reply) {
                return reply;
        }
        if (denies) {
                return ec2_error("403 Forbidden", "UnauthorizedOperation", "not you");
        }
        return ec2_reply("<networkInterfaceSet><item><networkInterfaceId>" CARD
                         "</networkInterfaceId><subnetId>subnet-1</subnetId><privateDnsName>"
                         "ip-172-20-128-99.ec2.internal</privateDnsName><sourceDestCheck>true"
                         "</sourceDestCheck></item><item><networkInterfaceId>" ENI
                         "</networkInterfaceId><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>"
                         "%s%s%s<sourceDestCheck>false</sourceDestCheck></item>"
                         "</networkInterfaceSet>",
                         name_of_primary ? "<privateDnsName>" : "",
                         name_of_primary ? name_of_primary : "",
                         name_of_primary ? "</privateDnsName>" : "");
}

static int run(Error *err)
{
        StepStatus status;
        server_reset(&server, respond);
        boot.node_name[0] = '\0';
        boot.checks_are_fresh = false;
        return run_step(identity_probe, NULL, MACHINE_CONVERGE, &status, err);
}

static void name_is_ec2s(void)
{
        static const char *const names[] = { NAME, "ip-172-20-128-10.EC2.Internal" };
        FOREACH_ARRAY(name, names, ELEMENTS(names)) {
                Error err;
                name_of_primary = *name;
                CHECK_OK(run(&err), err);
                CHECK_STR(boot.node_name, NAME);
                CHECK_STR(boot.identity.interfaces[0].eni_id, ENI);
                CHECK_INT(count_action("DescribeNetworkInterfaces"), 1);
                CHECK(boot.checks_are_fresh);
                CHECK(!boot.checked[0] && boot.checked[1]); /* in the order of IMDS's */
        }
}

static void host_names_switched_off(void)
{
        Error err;
        name_of_primary = NULL;
        CHECK_INT(run(&err), -ENODATA);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, ENI);
        CHECK_CONTAINS(err.message, "DNS host names are switched off");
        CHECK_CONTAINS(err.message, "aws ec2 modify-vpc-attribute --vpc-id vpc-1 "
                                    "--enable-dns-hostnames");
        CHECK_STR(boot.node_name, "");
}

static void names_that_kubernetes_refuses(void)
{
        static const char *const names[] = {
                "ip-172-20-128-10.my_corp.example",
                "ip-172-20-128-10.eu-central-1.kubernetes.platform.internal.example.org",
        };
        FOREACH_ARRAY(name, names, ELEMENTS(names)) {
                Error err;
                name_of_primary = *name;
                CHECK_INT(run(&err), -EINVAL);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_CONTAINS(err.message, *name);
                CHECK_STR(boot.node_name, "");
        }
}

/* IMDS lists the role of a young instance late. Where it lists none for long, that is AWS's word.
 */
static void role_comes_late(void)
{
        Error err;
        name_of_primary = NAME;
        role_absent = 1;
        CHECK_OK(run(&err), err);
        CHECK_STR(boot.identity.iam_role, "kb-master");
        role_absent = 1000;
        CHECK_INT(run(&err), -ENOENT);
        role_absent = 0;
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_INT(err.source, ERROR_FROM_AWS);
        CHECK_CONTAINS(err.message, "instance " INSTANCE " has no IAM role: launch it with the "
                                    "instance profile of role kb-master");
}

static void denied(void)
{
        Error err;
        name_of_primary = NAME;
        denies = true;
        CHECK(run(&err) < 0);
        denies = false;
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "this machine's name: ");
        CHECK_CONTAINS(err.message, "ec2:DescribeNetworkInterfaces");
}

int main(void)
{
        start_world_with_imds();
        test_case("identity: the name is EC2's, of the interface that IMDS calls primary",
                  name_is_ec2s);
        test_case("identity: DNS host names switched off", host_names_switched_off);
        test_case("identity: names that Kubernetes cannot carry", names_that_kubernetes_refuses);
        test_case("identity: a role that comes late", role_comes_late);
        test_case("identity: a denial is told, not waited for", denied);
        end_world_with_imds();
        return test_done();
}
