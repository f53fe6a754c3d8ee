/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "aws/imds_parse.h"
#include "ec2_world.h"

/* The VPC's networks, as IMDS lists them, and step identity, which compares the cluster's with
 * them. The machine has an interface in each of two VPCs. */

#define MACS   "meta-data/network/interfaces/macs/"
#define FIRST  MACS "0a:00:00:00:00:01/"
#define SECOND MACS "0a:00:00:00:00:02/"
#define CARD   "eni-0fedcba9876543210"

static void list_is_read(void)
{
        static const struct {
                const char *text;
                int result;
                size_t n;
                const char *last;
        } cases[] = {
                { "172.20.0.0/16", 0, 1, "172.20.0.0/16" },
                { "172.20.0.0/16\n100.64.0.0/16\n", 0, 2, "100.64.0.0/16" },
                { "\n172.20.0.0/16\n\n10.1.0.0/28", 0, 2, "10.1.0.0/28" },
                { "", 0, 0, NULL },
                { "172.20.0.0/16 100.64.0.0/16", -EBADMSG, 0, NULL },
                { "172.20.0.1/16", -EBADMSG, 0, NULL },
                { "172.20.0.0", -EBADMSG, 0, NULL },
                { "2600:1f18::/56", -EBADMSG, 0, NULL },
        };
        Network networks[IMDS_VPC_NETWORKS_MAX];
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                char text[NETWORK_TEXT_MAX];
                size_t n = 0;
                Error err = {};
                CHECK_INT(imds_parse_networks(c->text, strlen(c->text), networks, &n, &err),
                          c->result);
                CHECK_INT(n, c->n);
                CHECK_INT(err.class, c->result < 0 ? ERROR_CONFIG : 0);
                if (c->last && n > 0) {
                        network_format(networks[n - 1], text);
                        CHECK_STR(text, c->last);
                }
        }
        _cleanup_buffer_ Buffer many = {};
        for (unsigned i = 0; i <= IMDS_VPC_NETWORKS_MAX; i++) {
                CHECK_INT(buffer_append_format(&many, "10.%u.0.0/16\n", i), 0);
        }
        size_t n = 0;
        Error err = {};
        CHECK_INT(imds_parse_networks(many.data, many.size, networks, &n, &err), -E2BIG);
        CHECK_INT(imds_parse_networks(many.data, many.size - strlen("10.64.0.0/16\n"), networks, &n,
                                      &err),
                  0);
        CHECK_INT(n, IMDS_VPC_NETWORKS_MAX);
}

static const struct {
        const char *path, *value;
} metadata[] = {
        { "meta-data/instance-id", INSTANCE },
        { "meta-data/placement/region", "us-east-1" },
        { "meta-data/placement/availability-zone", ZONE },
        { "meta-data/services/partition", "aws" },
        { "meta-data/services/domain", "amazonaws.com" },
        { "meta-data/local-ipv4", "172.20.128.10" },
        { "meta-data/iam/security-credentials/", "kb-master" },
        { "dynamic/instance-identity/document", "{\"accountId\":\"123456789012\"}" },
        { "meta-data/mac", "0a:00:00:00:00:01" },
        { MACS, "0a:00:00:00:00:01/\n0a:00:00:00:00:02/" },
        { FIRST "interface-id", ENI },
        { SECOND "interface-id", CARD },
        { FIRST "subnet-ipv4-cidr-block", "172.20.128.0/20" },
};

static const char *blocks[2]; /* NULL: IMDS has none */

static char *get_metadata(const char *request)
{
        static const char *const block_paths[] = { FIRST "vpc-ipv4-cidr-blocks",
                                                   SECOND "vpc-ipv4-cidr-blocks" };
        char line[128];
        FOREACH_ARRAY(row, metadata, ELEMENTS(metadata)) {
                (void) snprintf(line, sizeof(line), "GET /2021-07-15/%s HTTP/1.1\r\n", row->path);
                if (string_starts_with(request, line)) {
                        return make_reply("200 OK", "Content-Type: text/plain\r\n", row->value);
                }
        }
        for (size_t i = 0; i < ELEMENTS(blocks); i++) {
                (void) snprintf(line, sizeof(line), "GET /2021-07-15/%s HTTP/1.1\r\n",
                                block_paths[i]);
                if (blocks[i] && string_starts_with(request, line)) {
                        return make_reply("200 OK", "Content-Type: text/plain\r\n", blocks[i]);
                }
        }
        return make_reply("404 Not Found", "", "");
}

#define INTERFACE(eni)                                                                        \
        "<item><networkInterfaceId>" eni "</networkInterfaceId><subnetId>subnet-1</subnetId>" \
        "<vpcId>vpc-1</vpcId><privateDnsName>ip-172-20-128-10.ec2.internal</privateDnsName>"  \
        "<privateIpAddress>172.20.128.10</privateIpAddress><sourceDestCheck>false"            \
        "</sourceDestCheck></item>"

static char *respond(const char *request, unsigned number)
{
        (void) number;
        if (string_starts_with(request, "PUT ")) {
                return make_reply("200 OK", "", "token");
        }
        if (string_starts_with(request, "GET ")) {
                return get_metadata(request);
        }
        return ec2_reply("<networkInterfaceSet>" INTERFACE(ENI)
                                 INTERFACE(CARD) "</networkInterfaceSet>");
}

static int run(const char *first, const char *second, Error *err)
{
        StepStatus status;
        server_reset(&server, respond);
        blocks[0] = first;
        blocks[1] = second;
        return run_step(identity_probe, NULL, MACHINE_CONVERGE, &status, err);
}

static void identity_compares(void)
{
        Error err = {};
        CHECK_OK(run("172.20.0.0/16\n100.64.0.0/16", "10.97.0.0/16", &err), err);
        CHECK_OK(run(NULL, NULL, &err), err);

        static const struct {
                const char *first, *second, *message;
        } cases[] = {
                { "172.20.0.0/16\n10.96.128.0/17", "10.245.0.0/16",
                  ": SERVICE_NETWORK=10.96.0.0/16 (the default) overlaps 10.96.128.0/17 of the "
                  "VPC" },
                { "172.20.0.0/16", "10.244.0.0/15",
                  STACK_CONFIG_PATH ":7: OVERLAY_NETWORK=10.244.0.0/16 overlaps 10.244.0.0/15" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                CHECK_INT(run(c->first, c->second, &err), -EINVAL);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_CONTAINS(err.message, c->message);
        }
}

/* European Sovereign Cloud. */
static void zones_of_every_partition(void)
{
        CHECK(imds_is_zone_of("eusc-de-east-1a", "eusc-de-east-1"));
        CHECK(imds_is_zone_of("us-gov-west-1c", "us-gov-west-1"));
        CHECK(imds_is_zone_of("us-iso-east-1a", "us-iso-east-1"));
        CHECK(imds_is_zone_of("us-west-2-lax-1a", "us-west-2"));
        CHECK(!imds_is_zone_of("eusc-de-east-2a", "eusc-de-east-1"));
}

int main(void)
{
        static char role[] = "kb-master", node_role[] = "kb-node", bucket[] = "bucket-1";
        static char overlay[] = "10.244.0.0/16", service[] = "10.96.0.0/16";
        start_world();
        (void) setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", getenv("AWS_ENDPOINT_URL_EC2"), 1);
        (void) setenv("AWS_ENDPOINT_URL_S3", getenv("AWS_ENDPOINT_URL_EC2"), 1);
        boot.config = (StackConfig) { .role = ROLE_MASTER,
                                      .master_iam_role = role,
                                      .node_iam_role = node_role,
                                      .s3_bucket = bucket,
                                      .overlay_network = overlay,
                                      .service_network = service };
        FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                if (streq(key->name, "OVERLAY_NETWORK")) {
                        boot.config.lines[key - stack_config_keys] = 7;
                }
        }
        test_case("imds: the networks of a VPC", list_is_read);
        test_case("imds: zones of every partition", zones_of_every_partition);
        test_case("identity: the cluster's networks beside those of each VPC", identity_compares);
        server_reset(&server, NULL);
        s3_bucket_free(boot.bucket);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        imds_free(boot.imds);
        http_done();
        return test_done();
}
