/* SPDX-License-Identifier: Apache-2.0 */
#include "base/network.h"

#include <arpa/inet.h>
#include <errno.h>

#include "harness.h"

static void parse_reads_cidr(void)
{
        static const struct {
                const char *text;
                int result;
                const char *network;
        } cases[] = {
                { "10.244.0.0/16", 0, "10.244.0.0/16" },
                { "10.244.0.1/16", 1, "10.244.0.0/16" },
                { "10.244.255.255/22", 1, "10.244.252.0/22" },
                { "0.0.0.0/0", 0, "0.0.0.0/0" },
                { "1.2.3.4/0", 1, "0.0.0.0/0" },
                { "255.255.255.255/32", 0, "255.255.255.255/32" },
                { "192.0.2.129/31", 1, "192.0.2.128/31" },
                { "10.244.0.0", -EINVAL, NULL },
                { "10.244.0.0/", -EINVAL, NULL },
                { "10.244.0.0/33", -EINVAL, NULL },
                { "10.244.0.0/016", -EINVAL, NULL },
                { "10.244.0.0/1x", -EINVAL, NULL },
                { "10.244.0.0/-1", -EINVAL, NULL },
                { "10.244.0.0/16 ", -EINVAL, NULL },
                { " 10.244.0.0/16", -EINVAL, NULL },
                { "10.244.0/16", -EINVAL, NULL },
                { "10.244.0.256/16", -EINVAL, NULL },
                { "010.244.0.0/16", -EINVAL, NULL },
                { "fd00::/8", -EINVAL, NULL },
                { "10.244.0.0.0.0.0/16", -EINVAL, NULL },
                { "/16", -EINVAL, NULL },
                { "", -EINVAL, NULL },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Network network = { 42, 42 };
                char text[NETWORK_TEXT_MAX] = "";
                if (network_parse(c->text, &network) != c->result) {
                        test_fail(__FILE__, __LINE__, "\"%s\" is not %d", c->text, c->result);
                }
                if (c->network) {
                        network_format(network, text);
                        CHECK_STR(text, c->network);
                } else {
                        CHECK_INT(network.first, 42); /* untouched */
                }
        }
}

static void overlap_is_an_address_of_both(void)
{
        static const struct {
                const char *a, *b;
                bool overlaps;
        } cases[] = {
                { "10.0.0.0/8", "10.96.0.0/16", true },
                { "10.96.0.0/16", "10.96.0.0/16", true },
                { "10.96.0.0/16", "10.97.0.0/16", false },
                { "10.96.0.0/15", "10.97.0.0/16", true },
                { "10.96.0.0/16", "10.96.255.255/32", true },
                { "10.96.0.0/16", "10.97.0.0/32", false },
                { "0.0.0.0/0", "255.255.255.255/32", true },
                { "127.255.255.255/32", "128.0.0.0/1", false },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Network a, b;
                CHECK_INT(network_parse(c->a, &a), 0);
                CHECK_INT(network_parse(c->b, &b), 0);
                CHECK_INT(network_overlaps(a, b), c->overlaps);
                CHECK_INT(network_overlaps(b, a), c->overlaps);
        }
        struct in_addr address;
        char text[NETWORK_TEXT_MAX];
        CHECK_INT(inet_pton(AF_INET, "172.20.128.9", &address), 1);
        network_format(network_of_address(address), text);
        CHECK_STR(text, "172.20.128.9/32");
}

static void addresses_of_networks(void)
{
        struct in_addr address = {};
        unsigned prefix = 0;
        char text[NETWORK_TEXT_MAX], nth[INET_ADDRSTRLEN];
        Network network;
        CHECK_INT(network_parse_address("10.244.5.1/24", &address, &prefix), 0);
        CHECK_STR(inet_ntoa(address), "10.244.5.1");
        CHECK_INT(prefix, 24);
        network_format_address(address, prefix, text);
        CHECK_STR(text, "10.244.5.1/24");
        CHECK_INT(network_parse_address("10.244.5.1", &address, &prefix), -EINVAL);
        CHECK_INT(network_parse("10.96.0.0/16", &network), 0);
        network_format_nth(network, 10, nth);
        CHECK_STR(nth, "10.96.0.10");
        network_format_nth(network, 256, nth);
        CHECK_STR(nth, "10.96.1.0");
}

int main(void)
{
        test_case("network: CIDR notation, and nothing else", parse_reads_cidr);
        test_case("network: two that overlap", overlap_is_an_address_of_both);
        test_case("network: its addresses", addresses_of_networks);
        return test_done();
}
