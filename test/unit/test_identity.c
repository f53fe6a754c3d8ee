/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "ec2_world.h"

/* Identity run by the engine: one server is IMDS and EC2. The machine has two network cards, and a
 * DHCP option set that names it otherwise than EC2 does. */

#define CARD "eni-0fedcba9876543210"
#define MACS "meta-data/network/interfaces/macs/"
#define NAME "ip-172-20-128-10.ec2.internal"

static const struct {
        const char *path, *value;
} metadata[] = {
        { "meta-data/instance-id", INSTANCE },
        { "meta-data/placement/region", "us-east-1" },
        { "meta-data/placement/availability-zone", ZONE },
        { "meta-data/services/partition", "aws" },
        { "meta-data/services/domain", "amazonaws.com" },
        { "meta-data/local-ipv4", "172.20.128.10" },
        { "meta-data/local-hostname", "ip-172-20-128-10.Corp.Example_COM" },
        { "meta-data/iam/security-credentials/", "kb-master" },
        { "dynamic/instance-identity/document", "{\"accountId\":\"123456789012\"}" },
        { "meta-data/mac", "0a:00:00:00:00:02" },
        { MACS, "0a:00:00:00:00:01/\n0a:00:00:00:00:02/" },
        { MACS "0a:00:00:00:00:01/interface-id", CARD },
        { MACS "0a:00:00:00:00:02/interface-id", ENI },
        { MACS "0a:00:00:00:00:02/subnet-ipv4-cidr-block", "172.20.128.0/20" },
};

static const char *name_of_primary; /* NULL: EC2 shows none */
static bool denies;

static unsigned role_absent; /* looks at the role that find none */

static char *get_metadata(const char *request)
{
        if (role_absent > 0 && strstr(request, "/security-credentials/ HTTP")) {
                role_absent--;
                return make_reply("404 Not Found", "", "");
        }
        FOREACH_ARRAY(row, metadata, ELEMENTS(metadata)) {
                char line[128];
                (void) snprintf(line, sizeof(line), "GET /2021-07-15/%s HTTP/1.1\r\n", row->path);
                if (string_starts_with(request, line)) {
                        return make_reply("200 OK", "Content-Type: text/plain\r\n", row->value);
                }
        }
        return make_reply("404 Not Found", "", "");
}

static char *respond(const char *request, unsigned number)
{
        (void) number;
        if (string_starts_with(request, "PUT ")) {
                return make_reply("200 OK", "", "token");
        }
        if (string_starts_with(request, "GET ")) {
                return get_metadata(request);
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
        static char role[] = "kb-master", node_role[] = "kb-node", bucket[] = "bucket-1";
        start_world();
        (void) setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", getenv("AWS_ENDPOINT_URL_EC2"), 1);
        (void) setenv("AWS_ENDPOINT_URL_S3", getenv("AWS_ENDPOINT_URL_EC2"), 1);
        boot.config = (StackConfig) { .role = ROLE_MASTER,
                                      .master_iam_role = role,
                                      .node_iam_role = node_role,
                                      .s3_bucket = bucket };
        test_case("identity: the name is EC2's, of the interface that IMDS calls primary",
                  name_is_ec2s);
        test_case("identity: DNS host names switched off", host_names_switched_off);
        test_case("identity: names that Kubernetes cannot carry", names_that_kubernetes_refuses);
        test_case("identity: a role that comes late", role_comes_late);
        test_case("identity: a denial is told, not waited for", denied);
        server_reset(&server, NULL);
        s3_bucket_free(boot.bucket);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        imds_free(boot.imds);
        http_done();
        return test_done();
}
