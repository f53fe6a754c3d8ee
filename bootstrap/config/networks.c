/* SPDX-License-Identifier: Apache-2.0 */
#include "config/networks.h"

#include <arpa/inet.h>
#include <errno.h>

typedef struct SizeRule {
        const char *key;
        unsigned min_prefix, max_prefix;
        const char *too_large, *too_small;
} SizeRule;

static const SizeRule size_rules[] = {
        /* flannel pkg/subnet/config.go, CheckNetworkConfig(): "network must be able to accommodate
         * at least four subnets", SubnetLen < PrefixLen + 2; SubnetLen is 24
         * (render_flannel_config()). It has no limit at the other end; Kubernetes' node IPAM
         * (pkg/controller/nodeipam/ipam/cidrset/cidr_set.go) takes at most 16 bits of subnets. */
        { "OVERLAY_NETWORK", 8, 22, "no more than 65536 subnets of /24 can be told apart",
          "flannel needs room for four subnets of /24, of which each machine gets one" },
        /* kube-apiserver cmd/kube-apiserver/app/options/validation.go, maxCIDRBits = 20: "for
         * 32-bit addresses, the mask must be >= 12"; pkg/controlplane/services.go,
         * ServiceIPRange(): "must be at least 8 IP addresses". The cluster's DNS has the tenth
         * (render_cluster_dns()). */
        { "SERVICE_NETWORK", 12, 28, "the API server takes no network larger than /12",
          "the service of the cluster's DNS has the tenth address" },
};

/* Networks whose addresses no pod, service or node can have: RFC 6890, and RFC 5771 for multicast.
 * The VPC's DNS, clock and instance metadata are in link-local. */
static const struct {
        Network network;
        const char *text;
} reserved[] = {
        { { 0x00000000, 8 }, "0.0.0.0/8, which means \"this network\"" },
        { { 0x7f000000, 8 }, "127.0.0.0/8, which is loopback" },
        { { 0xa9fe0000, 16 }, "169.254.0.0/16, which is link-local: instance metadata and DNS" },
        { { 0xe0000000, 4 }, "224.0.0.0/4, which is multicast" },
};

static int check_reserved(Network network, Buffer *problem)
{
        FOREACH_ARRAY(range, reserved, ELEMENTS(reserved)) {
                if (network_overlaps(network, range->network)) {
                        return buffer_append_format(problem, "%s %s",
                                                    network.prefix == 32 ? "lies in" : "overlaps",
                                                    range->text);
                }
        }
        return 0;
}

static const SizeRule *find_rule(const char *key)
{
        FOREACH_ARRAY(rule, size_rules, ELEMENTS(size_rules)) {
                if (streq(rule->key, key)) {
                        return rule;
                }
        }
        return NULL;
}

int networks_check_value(const char *key, const char *value, Buffer *problem)
{
        char right[NETWORK_TEXT_MAX];
        Network network;
        int r = network_parse(value, &network);
        if (r < 0) {
                return buffer_append_string(problem, "expected a network such as 10.244.0.0/16");
        }
        if (r > 0) {
                network_format(network, right);
                return buffer_append_format(problem, "host bits are set, expected the network %s",
                                            right);
        }
        const SizeRule *rule = find_rule(key);
        if (rule && network.prefix < rule->min_prefix) {
                return buffer_append_format(problem, "too large, expected /%u to /%u (%s)",
                                            rule->min_prefix, rule->max_prefix, rule->too_large);
        }
        if (rule && network.prefix > rule->max_prefix) {
                return buffer_append_format(problem, "too small, expected /%u to /%u (%s)",
                                            rule->min_prefix, rule->max_prefix, rule->too_small);
        }
        return check_reserved(network, problem);
}

int networks_check_address(struct in_addr address, Buffer *problem)
{
        return check_reserved(network_of_address(address), problem);
}

/* A key whose value is a range of addresses. */
typedef struct Range {
        const char *key;
        char text[NETWORK_TEXT_MAX];
        Network network;
        unsigned line; /* 0: the default */
} Range;

static size_t add_network(const StackConfig *config, const char *key, Network network, Range *ret)
{
        if (network.prefix == 0) { /* its value was refused */
                return 0;
        }
        *ret = (Range) { .key = key, .network = network, .line = stack_config_line(config, key) };
        network_format(network, ret->text);
        return 1;
}

static size_t list_networks(const StackConfig *config, Range ret[2])
{
        size_t n = add_network(config, "OVERLAY_NETWORK", config->overlay_network, &ret[0]);
        return n + add_network(config, "SERVICE_NETWORK", config->service_network, &ret[n]);
}

/* Returns "FILE:9: KEY=10.0.0.0/8", which the caller frees, or NULL when out of memory. */
static char *subject(const char *path, const Range *range)
{
        return range->line > 0
                       ? string_format("%s:%u: %s=%s", path, range->line, range->key, range->text)
                       : string_format("%s: %s=%s (the default)", path, range->key, range->text);
}

static int append_overlap(const char *path, const Range *a, const Range *b, StringList *problems)
{
        if (a->line == 0) { /* a default has no line to correct: name the other first */
                const Range *c = a;
                a = b;
                b = c;
        }
        _cleanup_free_ char *text = subject(path, a);
        if (!text) {
                return -ENOMEM;
        }
        return b->line > 0 ? string_list_append_format(problems, "%s overlaps %s=%s of line %u",
                                                       text, b->key, b->text, b->line)
                           : string_list_append_format(problems, "%s overlaps %s=%s (the default)",
                                                       text, b->key, b->text);
}

int networks_check_pairs(const char *path, const StackConfig *config, StringList *problems)
{
        Range ranges[3];
        size_t n = list_networks(config, ranges);
        if (config->master_private_ip.s_addr != 0) {
                Range *master = &ranges[n++];
                *master = (Range) { .key = "MASTER_PRIVATE_IP",
                                    .network = network_of_address(config->master_private_ip),
                                    .line = stack_config_line(config, "MASTER_PRIVATE_IP") };
                (void) inet_ntop(AF_INET, &config->master_private_ip, master->text,
                                 sizeof(master->text)); /* fits */
        }
        for (size_t i = 0; i < n; i++) {
                for (size_t j = i + 1; j < n; j++) {
                        if (network_overlaps(ranges[i].network, ranges[j].network) &&
                            append_overlap(path, &ranges[i], &ranges[j], problems) < 0) {
                                return -ENOMEM;
                        }
                }
        }
        return 0;
}

int networks_check_vpc(const char *path, const StackConfig *config, const Network *blocks, size_t n,
                       StringList *problems)
{
        Range ranges[2];
        size_t n_ranges = list_networks(config, ranges);
        FOREACH_ARRAY(range, ranges, n_ranges) {
                _cleanup_free_ char *text = subject(path, range);
                if (!text) {
                        return -ENOMEM;
                }
                FOREACH_ARRAY(block, blocks, n) {
                        char of_vpc[NETWORK_TEXT_MAX];
                        network_format(*block, of_vpc);
                        if (network_overlaps(range->network, *block) &&
                            string_list_append_format(problems,
                                                      "%s overlaps %s of the VPC: addresses there "
                                                      "could not be reached",
                                                      text, of_vpc) < 0) {
                                return -ENOMEM;
                        }
                }
        }
        return 0;
}
