/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/overlay.h"

#include <arpa/inet.h>

#include "harness.h"

static void test_leases(void)
{
        OverlayLease lease;
        const char *value = "{\"PublicIP\":\"172.20.128.5\",\"BackendType\":\"vxlan\","
                            "\"BackendData\":{\"VNI\":1,\"VtepMAC\":\"66:5c:9f:00:00:01\"}}";
        CHECK_INT(overlay_lease_parse("10.244.5.0-24", value, &lease), 1);
        CHECK_STR(inet_ntoa(lease.network), "10.244.5.0");
        CHECK_INT(lease.prefix, 24);
        CHECK_STR(lease.backend, "vxlan");
        CHECK_STR(lease.vtep_mac, "66:5c:9f:00:00:01");
        CHECK_INT(overlay_lease_parse("0.0.0.0-0", "{\"BackendType\":\"host-gw\"}", &lease), 1);
        CHECK_STR(lease.backend, "host-gw");
        CHECK_STR(lease.vtep_mac, "");
}

static void test_what_is_none(void)
{
        const char *const names[] = {
                "",           "10.244.5.0",     "10.244.5.0-33", "10.244.5-24",
                "config-24",  "10.244.5.0-24x", "1.2.3.400-24",  "-24",
                "10.0.0.0--1"
        };
        const char *const values[] = { "",
                                       "null",
                                       "[]",
                                       "{}",
                                       "{\"BackendType\":1}",
                                       "{\"BackendType\":\"\"}",
                                       "{\"BackendType\":\"vxlan\"" };
        OverlayLease lease;
        FOREACH_ARRAY(name, names, ELEMENTS(names)) {
                CHECK_INT(overlay_lease_parse(*name, "{\"BackendType\":\"vxlan\"}", &lease), 0);
        }
        FOREACH_ARRAY(value, values, ELEMENTS(values)) {
                CHECK_INT(overlay_lease_parse("10.244.5.0-24", *value, &lease), 0);
        }
}

static void test_config(void)
{
        char network[20] = "kept", backend[16] = "kept";
        static const char *const none[] = {
                "",
                "{}",
                "{\"Network\":\"10.244.0.0/16\"}",
                "{\"Backend\":{\"Type\":\"vxlan\"}}",
                "{\"Network\":1,\"Backend\":{\"Type\":\"vxlan\"}}",
                "{\"Network\":\"10.244.0.0/16\",\"Backend\":\"vxlan\"}",
        };
        FOREACH_ARRAY(text, none, ELEMENTS(none)) {
                CHECK_INT(overlay_config_parse(*text, network, backend), 0);
        }
        CHECK_STR(network, "kept");
        CHECK_INT(overlay_config_parse("{\"Network\":\"10.245.0.0/16\",\"SubnetLen\":24,"
                                       "\"Backend\":{\"Type\":\"host-gw\",\"VNI\":1}}",
                                       network, backend),
                  1);
        CHECK_STR(network, "10.245.0.0/16");
        CHECK_STR(backend, "host-gw");
        CHECK_INT(overlay_config_parse("{\"Network\":\"10.245.0.0/16 and more than fits\","
                                       "\"Backend\":{\"Type\":\"vxlan\"}}",
                                       network, backend),
                  1);
        CHECK(!streq(network, "10.245.0.0/16"));
}

/* A Node as flanneld 0.28 leaves it:
 * https://github.com/flannel-io/flannel/blob/v0.28.10/pkg/subnet/kube/annotations.go */
static void test_nodes(void)
{
        static const struct {
                const char *node;
                const char *backend, *mac; /* NULL: none */
        } cases[] = {
                { "{\"metadata\":{\"annotations\":{"
                  "\"flannel.alpha.coreos.com/backend-data\":\"{\\\"VNI\\\":1,\\\"VtepMAC\\\":"
                  "\\\"5a:00:00:00:00:01\\\"}\",\"flannel.alpha.coreos.com/"
                  "backend-type\":\"vxlan\","
                  "\"flannel.alpha.coreos.com/public-ip\":\"172.20.128.5\"}},"
                  "\"spec\":{\"podCIDR\":\"10.244.5.0/24\"}}",
                  "vxlan", "5a:00:00:00:00:01" },
                { "{\"metadata\":{\"annotations\":{"
                  "\"flannel.alpha.coreos.com/backend-data\":\"null\","
                  "\"flannel.alpha.coreos.com/backend-type\":\"host-gw\"}},"
                  "\"spec\":{\"podCIDR\":\"10.244.5.0/24\"}}",
                  "host-gw", "" },
                { "{\"metadata\":{\"annotations\":{"
                  "\"flannel.alpha.coreos.com/backend-type\":\"vxlan\"}},\"spec\":{}}",
                  NULL, NULL },
                { "{\"metadata\":{},\"spec\":{\"podCIDR\":\"10.244.5.0/24\"}}", NULL, NULL },
                { "{\"metadata\":{\"annotations\":{"
                  "\"flannel.alpha.coreos.com/backend-data\":\"{\","
                  "\"flannel.alpha.coreos.com/backend-type\":7}},"
                  "\"spec\":{\"podCIDR\":\"10.244.5.0/24\"}}",
                  NULL, NULL },
                { "{\"metadata\":{\"annotations\":{"
                  "\"flannel.alpha.coreos.com/backend-type\":\"vxlan\"}},"
                  "\"spec\":{\"podCIDR\":\"fd00::/64\"}}",
                  NULL, NULL },
                { "[]", NULL, NULL },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                OverlayLease lease = {};
                json_auto_t *node = json_loads(c->node, 0, NULL);
                REQUIRE(node);
                CHECK_INT(overlay_lease_of_node(node, &lease), c->backend != NULL);
                if (c->backend) {
                        CHECK_STR(lease.backend, c->backend);
                        CHECK_STR(lease.vtep_mac, c->mac);
                        CHECK_INT(ntohl(lease.network.s_addr), 0x0af40500);
                        CHECK_INT(lease.prefix, 24);
                }
        }
}

int main(void)
{
        test_case("flannel's configuration", test_config);
        test_case("leases", test_leases);
        test_case("what is no lease", test_what_is_none);
        test_case("leases of Nodes", test_nodes);
        return test_done();
}
