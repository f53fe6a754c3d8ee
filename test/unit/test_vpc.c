/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "aws/imds_internal.h"
#include "imds_world.h"

/* The VPC's networks, as IMDS lists them, and step identity, which compares the cluster's with
 * them. The machine has an interface in each of two VPCs. */

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

static const char *blocks[2]; /* NULL: IMDS has none */

#define INTERFACE(eni)                                                                        \
        "<item><networkInterfaceId>" eni "</networkInterfaceId><subnetId>subnet-1</subnetId>" \
        "<vpcId>vpc-1</vpcId><privateDnsName>ip-172-20-128-10.ec2.internal</privateDnsName>"  \
        "<privateIpAddress>172.20.128.10</privateIpAddress><sourceDestCheck>false"            \
        "</sourceDestCheck></item>"

static char *respond(const char *request, unsigned number)
{
        static const char *const paths[] = { ENIS_MAC "vpc-ipv4-cidr-blocks",
                                             CARDS_MAC "vpc-ipv4-cidr-blocks" };
        (void) number;
        for (size_t i = 0; i < ELEMENTS(blocks); i++) {
                char *reply = blocks[i] ? imds_answer_path(request, paths[i], blocks[i]) : NULL;
                if (reply) {
                        return reply;
                }
        }
        char *reply = imds_answer(request);
        return reply ? reply
                     : ec2_reply("<networkInterfaceSet>" INTERFACE(ENI)
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
        start_world_with_imds();
        boot.config.overlay_network = (Network) { 0x0af40000, 16 };
        boot.config.service_network = (Network) { 0x0a600000, 16 };
        FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                if (streq(key->name, "OVERLAY_NETWORK")) {
                        boot.config.lines[key - stack_config_keys] = 7;
                }
        }
        test_case("imds: the networks of a VPC", list_is_read);
        test_case("imds: zones of every partition", zones_of_every_partition);
        test_case("identity: the cluster's networks beside those of each VPC", identity_compares);
        end_world_with_imds();
        return test_done();
}
