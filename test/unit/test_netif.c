/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "host/netif.h"
#include "host/process.h"

/* In a network namespace of the test's own, with cables that iproute2 lays: needs root. */

#define MAC "02:0a:0b:0c:0d:0e"

static bool try_ip(const char *arguments)
{
        char text[256];
        const char *argv[24] = { "/sbin/ip" };
        size_t n = 1;
        (void) snprintf(text, sizeof(text), "%s", arguments);
        char *state = NULL;
        for (char *word = strtok_r(text, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
                argv[n++] = word;
        }
        _cleanup_process_result_ ProcessResult result = {};
        Error err = {};
        Wait wait = test_patience();
        return process_run(&(ProcessOptions) { .argv = argv }, &wait, &result, &err) == 0 &&
               result.exit_status == 0;
}

static void ip(const char *arguments)
{
        if (!try_ip(arguments)) {
                test_fail(__FILE__, __LINE__, "ip %s", arguments);
        }
}

static struct in_addr address_of(const char *text)
{
        struct in_addr address = {};
        CHECK(inet_pton(AF_INET, text, &address) == 1);
        return address;
}

static Netif card(void)
{
        Netif netif = {};
        Error err = {};
        CHECK_INT(netif_find_by_name("card", &netif, &err), 1);
        return netif;
}

static void found_by_mac(void)
{
        Netif netif = {};
        Error err = {};
        CHECK_INT(netif_find_by_mac("02:0A:0B:0C:0D:0E", &netif, &err), 1);
        CHECK_STR(netif.name, "card");
        CHECK_INT(netif.mtu, 9001);
        CHECK(netif.up);
        CHECK_INT(netif.index, if_nametoindex("card"));
        CHECK_INT(netif_find_by_mac("02:00:00:00:00:01", &netif, &err), 0);
        CHECK(netif_find_by_mac("02:0a:0b:0c:0d", &netif, &err) < 0);
        CHECK(netif_find_by_mac("02:0a:0b:0c:0d:0e:0f", &netif, &err) < 0);
        CHECK(netif_find_by_mac("", &netif, &err) < 0);
}

/* A macvlan in passthru mode, a bridge: they carry their card's address, and may come first. */
static void others_with_its_mac(void)
{
        Netif netif = {};
        Error err = {};
        ip("link add early type bridge");
        ip("link set early address 02:00:00:00:00:07");
        ip("link add late type veth peer name other");
        ip("link set late address 02:00:00:00:00:07");
        CHECK_INT(netif_find_by_mac("02:00:00:00:00:07", &netif, &err), 1);
        CHECK_STR(netif.name, "late");
        ip("link add link late name over type macvlan mode private");
        ip("link set over address 02:00:00:00:00:08");
        CHECK_INT(netif_find_by_mac("02:00:00:00:00:08", &netif, &err), 0);
        ip("link delete late");
        ip("link delete early");
}

static void found_by_name(void)
{
        Netif netif = {};
        Error err = {};
        CHECK_INT(netif_find_by_name("lo", &netif, &err), 1);
        CHECK_INT(netif.index, 1);
        CHECK_INT(netif_find_by_name("nobody", &netif, &err), 0);
        CHECK_INT(netif_find_by_name("a-name-that-is-far-too-long", &netif, &err), 0);
}

static void mac_of_a_name(void)
{
        Error err = {};
        CHECK_INT(netif_has_mac("card", MAC, &err), 1);
        CHECK_INT(netif_has_mac("card", "02:0A:0B:0C:0D:0E", &err), 1);
        CHECK_INT(netif_has_mac("card", "02:0a:0b:0c:0d:0f", &err), 0);
        CHECK_INT(netif_has_mac("cable", MAC, &err), 0);
        CHECK_INT(netif_has_mac("nobody", MAC, &err), 0);
        CHECK_INT(netif_has_mac("card", "none", &err), 0);
        ip("link add vtep type bridge");
        ip("link set vtep address 02:00:00:00:00:09"); /* of whatever kind */
        CHECK_INT(netif_has_mac("vtep", "02:00:00:00:00:09", &err), 1);
        ip("link set vtep address 02:00:00:00:00:0a");
        CHECK_INT(netif_has_mac("vtep", "02:00:00:00:00:09", &err), 0);
        ip("link delete vtep");
}

/* What the other end of the cable hears within a second. */
static bool hears_announcement(int fd, struct in_addr address)
{
        static const unsigned char mac[ETH_ALEN] = { 2, 10, 11, 12, 13, 14 };
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        while (poll(&poll_fd, 1, 1000) == 1) {
                unsigned char frame[128];
                ssize_t n = recv(fd, frame, sizeof(frame), 0);
                /* to all, ARP request, sender and target the same address */
                if (n >= 42 && frame[0] == 0xFF && frame[12] == 0x08 && frame[13] == 0x06 &&
                    frame[21] == 1 && memcmp(frame + 6, mac, ETH_ALEN) == 0 &&
                    memcmp(frame + 22, mac, ETH_ALEN) == 0 &&
                    memcmp(frame + 28, &address, sizeof(address)) == 0 &&
                    memcmp(frame + 38, &address, sizeof(address)) == 0) {
                        return true;
                }
        }
        return false;
}

static void address_added_once(void)
{
        Netif netif = card();
        Error err = {};
        struct in_addr fixed = address_of("172.20.128.9"), first;
        unsigned prefix = 0;
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP));
        REQUIRE(fd >= 0);
        CHECK_INT(netif_has_address(&netif, fixed, &err), 0);
        CHECK_OK(netif_add_address(&netif, fixed, &err), err);
        CHECK(hears_announcement(fd, fixed));
        CHECK_INT(netif_has_address(&netif, fixed, &err), 1);
        CHECK_OK(netif_add_address(&netif, fixed, &err), err);
        CHECK(hears_announcement(fd, fixed));
        (void) close(fd);
        CHECK(try_ip("-4 address show dev card to 172.20.128.9/32"));
        CHECK_INT(netif_first_address(&netif, &first, &prefix, &err), 1);
        CHECK_INT(first.s_addr, address_of("172.20.130.1").s_addr); /* still the primary */
        CHECK_INT(prefix, 20);
        Netif other = {};
        CHECK_INT(netif_find_by_name("cable", &other, &err), 1);
        CHECK_INT(netif_has_address(&other, fixed, &err), 0);
        CHECK_INT(netif_first_address(&other, &first, &prefix, &err), 0);
        CHECK(try_ip("address delete 172.20.128.9/32 dev card"));
        CHECK_INT(netif_has_address(&netif, fixed, &err), 0);
        CHECK_INT(netif_has_address(&netif, address_of("172.20.130.1"), &err), 1);
        CHECK(netif_has_address(&netif, (struct in_addr) { INADDR_ANY }, &err) < 0);
}

static void address_on_what_is_gone(void)
{
        Netif netif = { .index = 4711, .name = "gone" };
        Error err = {};
        CHECK(netif_add_address(&netif, address_of("172.20.128.9"), &err) < 0);
        CHECK_CONTAINS(err.message, "172.20.128.9");
        CHECK_CONTAINS(err.message, "gone");
}

static void many_addresses(void)
{
        char line[64];
        Netif netif = card();
        Error err = {};
        for (unsigned i = 1; i <= 200; i++) { /* more than one datagram of the dump */
                (void) snprintf(line, sizeof(line), "address add 10.9.8.%u/32 dev card", i);
                ip(line);
        }
        CHECK_INT(netif_has_address(&netif, address_of("10.9.8.1"), &err), 1);
        CHECK_INT(netif_has_address(&netif, address_of("10.9.8.200"), &err), 1);
        CHECK_INT(netif_has_address(&netif, address_of("10.9.8.201"), &err), 0);
}

static void routes(void)
{
        char name[IF_NAMESIZE] = "";
        Error err = {};
        ip("route add 10.244.5.0/24 via 172.20.130.2 dev card");
        ip("route add 10.244.6.0/24 via 172.20.130.2 dev card table 100");
        ip("route add blackhole 10.244.7.0/24");
        CHECK_INT(netif_has_route(address_of("10.244.5.0"), 24, name, &err), 1);
        CHECK_STR(name, "card");
        CHECK_INT(netif_has_route(address_of("10.244.5.0"), 25, NULL, &err), 0);
        CHECK_INT(netif_has_route(address_of("10.244.5.0"), 16, NULL, &err), 0);
        CHECK_INT(netif_has_route(address_of("10.244.6.0"), 24, NULL, &err), 0);
        CHECK_INT(netif_has_route(address_of("10.244.7.0"), 24, NULL, &err), 0);
        CHECK_INT(netif_has_route(address_of("0.0.0.0"), 0, NULL, &err), 0);
        ip("route add default via 172.20.130.2");
        CHECK_INT(netif_has_route(address_of("0.0.0.0"), 0, name, &err), 1);
}

static void neighbours(void)
{
        struct in_addr address;
        Error err = {};
        (void) inet_pton(AF_INET, "172.20.130.77", &address);
        CHECK_INT(netif_has_neighbour(address, "02:00:00:00:00:77", &err), 0);
        ip("neighbour add 172.20.130.77 lladdr 02:00:00:00:00:77 nud permanent dev card");
        CHECK_INT(netif_has_neighbour(address, "02:00:00:00:00:77", &err), 1);
        CHECK_INT(netif_has_neighbour(address, "02:00:00:00:00:78", &err), 0);
        CHECK_INT(netif_has_neighbour(address, "nonsense", &err), 0);
        ip("neighbour change 172.20.130.77 lladdr 02:00:00:00:00:78 nud stale dev card");
        CHECK_INT(netif_has_neighbour(address, "02:00:00:00:00:78", &err), 0);
}

static Netif bridge_is(const char *address, unsigned wanted_prefix)
{
        Netif bridge = {};
        struct in_addr found = {};
        unsigned prefix = 0;
        Error err = {};
        CHECK_INT(netif_find_by_name("cbr7", &bridge, &err), 1);
        CHECK(bridge.up);
        CHECK_INT(bridge.mtu, 1450);
        CHECK_INT(netif_first_address(&bridge, &found, &prefix, &err), 1);
        CHECK_INT(found.s_addr, address_of(address).s_addr);
        CHECK_INT(prefix, wanted_prefix);
        return bridge;
}

/* Makes it so, and returns the same as netif_make_bridge(). */
static int make_bridge(const char *address, unsigned prefix)
{
        Error err = {};
        int r = netif_make_bridge("cbr7", address_of(address), prefix, 1450, &err);
        CHECK_OK(r, err);
        return r;
}

static void bridge_made_and_left_alone(void)
{
        Error err = {};
        CHECK_INT(make_bridge("10.244.5.1", 24), 0);
        int index = bridge_is("10.244.5.1", 24).index;
        CHECK_INT(make_bridge("10.244.5.1", 24), 0);
        CHECK_INT(bridge_is("10.244.5.1", 24).index, index);
        CHECK_INT(netif_has_ports("cbr7", &err), 0);
        CHECK_INT(netif_has_ports("nobody", &err), 0);
        ip("link add port master cbr7 type veth peer name pod");
        CHECK_INT(netif_has_ports("cbr7", &err), 1);
        (void) bridge_is("10.244.5.1", 24); /* its MTU is not its port's */
        ip("link delete port");
        (void) bridge_is("10.244.5.1", 24);
        ip("link delete cbr7");
}

/* The kernel makes an address of the same network secondary, and removes that with the primary. */
static void bridge_gets_another_address(void)
{
        static const struct {
                const char *address;
                unsigned prefix;
        } others[] = { { "10.244.6.1", 24 }, { "10.244.6.9", 24 }, { "10.244.6.9", 25 } };
        Error err = {};
        CHECK_INT(make_bridge("10.244.5.1", 24), 0);
        Netif bridge = bridge_is("10.244.5.1", 24);
        ip("link add port master cbr7 type veth peer name pod");
        ip("address add 169.254.7.1/16 dev cbr7 scope link");
        ip("address add 10.244.7.1/24 dev cbr7");
        FOREACH_ARRAY(other, others, ELEMENTS(others)) {
                CHECK_INT(make_bridge(other->address, other->prefix), 1);
                CHECK_INT(bridge_is(other->address, other->prefix).index, bridge.index);
                CHECK_INT(netif_has_ports("cbr7", &err), 1);
        }
        CHECK_INT(netif_has_address(&bridge, address_of("10.244.5.1"), &err), 0);
        CHECK_INT(netif_has_address(&bridge, address_of("10.244.7.1"), &err), 0);
        CHECK_INT(netif_has_address(&bridge, address_of("169.254.7.1"), &err), 1);
        ip("address flush dev cbr7");
        ip("link set cbr7 mtu 1400");
        CHECK_INT(make_bridge("10.244.6.1", 24), 0); /* there was none to remove */
        (void) bridge_is("10.244.6.1", 24);
}

int main(void)
{
        static const struct {
                const char *name;
                void (*function)(void);
        } cases[] = {
                { "an interface is found by its hardware address", found_by_mac },
                { "bridges and macvlans with that address are passed over", others_with_its_mac },
                { "an interface is found by its name", found_by_name },
                { "the hardware address of a name", mac_of_a_name },
                { "an address is added once, secondary, and announced", address_added_once },
                { "an interface that is gone is named", address_on_what_is_gone },
                { "a long list of addresses is read whole", many_addresses },
                { "routes of the main table are told exactly", routes },
                { "permanent neighbours are told exactly", neighbours },
                { "a bridge is made, and left alone", bridge_made_and_left_alone },
                { "a bridge gets another address and keeps its ports",
                  bridge_gets_another_address },
        };
        bool inside = unshare(CLONE_NEWNET) == 0 &&
                      try_ip("link add card address " MAC " mtu 9001 type veth peer name cable") &&
                      try_ip("link set cable mtu 9001 up") && try_ip("link set card up") &&
                      try_ip("address add 172.20.130.1/20 dev card");
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                if (inside) {
                        test_case(cases[i].name, cases[i].function);
                } else {
                        test_skip(cases[i].name,
                                  "a network namespace with a cable needs root and ip");
                }
        }
        return test_done();
}
