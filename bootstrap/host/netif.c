/* SPDX-License-Identifier: Apache-2.0 */
#include "host/netif.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/effect.h"
#include "base/string.h"
#include "host/netlink.h"

/* Returns the second header of a message of that type. NULL: another type, or too short. */
static const void *second_header(const struct nlmsghdr *message, uint16_t type, size_t size)
{
        return message->nlmsg_type == type && mnl_nlmsg_get_payload_len(message) >= size
                       ? mnl_nlmsg_get_payload(message)
                       : NULL;
}

typedef struct AttributeSearch {
        uint16_t type;
        const struct nlattr *found;
} AttributeSearch;

static int visit_attribute(const struct nlattr *attribute, void *userdata)
{
        AttributeSearch *search = userdata;
        if (mnl_attr_get_type(attribute) != search->type) {
                return MNL_CB_OK;
        }
        search->found = attribute;
        return MNL_CB_STOP;
}

/* Returns the attribute of a message whose second header has that size, NULL if there is none. */
static const struct nlattr *find_attribute(const struct nlmsghdr *message, size_t header_size,
                                           uint16_t type)
{
        AttributeSearch search = { .type = type };
        (void) mnl_attr_parse(message, (unsigned) header_size, visit_attribute, &search);
        return search.found;
}

/* Returns the bytes of that attribute if there are exactly so many, else NULL. */
static const void *find_bytes(const struct nlmsghdr *message, size_t header_size, uint16_t type,
                              size_t size)
{
        const struct nlattr *attribute = find_attribute(message, header_size, type);
        return attribute && mnl_attr_validate2(attribute, MNL_TYPE_BINARY, size) == 0
                       ? mnl_attr_get_payload(attribute)
                       : NULL;
}

/* Returns the attribute's text, or "" if there is none. */
static const char *attribute_text(const struct nlattr *attribute)
{
        return attribute && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0
                       ? mnl_attr_get_str(attribute)
                       : "";
}

typedef struct LinkSearch {
        unsigned char mac[ETH_ALEN];
        bool by_mac, found;
        Netif netif;
} LinkSearch;

/* Returns true for a network card, or a container's end of a veth pair. VLANs, macvlans, bridges
 * and bonds show a kind, and may carry the card's address. */
static bool is_own_interface(const struct nlattr *info)
{
        AttributeSearch search = { .type = IFLA_INFO_KIND };
        if (!info) {
                return true;
        }
        (void) mnl_attr_parse_nested(info, visit_attribute, &search);
        const char *kind = attribute_text(search.found);
        return !kind[0] || streq(kind, "veth");
}

static bool has_wanted_mac(const struct nlmsghdr *message, const struct ifinfomsg *link,
                           const unsigned char wanted[ETH_ALEN])
{
        const void *mac = find_bytes(message, sizeof(*link), IFLA_ADDRESS, ETH_ALEN);
        return mac && memcmp(mac, wanted, ETH_ALEN) == 0 && link->ifi_type == ARPHRD_ETHER &&
               is_own_interface(find_attribute(message, sizeof(*link), IFLA_LINKINFO));
}

static int visit_link(const struct nlmsghdr *message, void *userdata)
{
        LinkSearch *search = userdata;
        const struct ifinfomsg *link = second_header(message, RTM_NEWLINK, sizeof(*link));
        if (!link || (search->by_mac && !has_wanted_mac(message, link, search->mac))) {
                return MNL_CB_OK;
        }
        search->found = true;
        search->netif = (Netif) { .index = link->ifi_index, .up = link->ifi_flags & IFF_UP };
        (void) snprintf(search->netif.name, sizeof(search->netif.name), "%s",
                        attribute_text(find_attribute(message, sizeof(*link), IFLA_IFNAME)));
        const uint32_t *mtu = find_bytes(message, sizeof(*link), IFLA_MTU, sizeof(*mtu));
        if (mtu) {
                search->netif.mtu = *mtu;
        }
        return MNL_CB_STOP;
}

/* Parses six pairs of hexadecimal digits between colons. Returns false if the text is malformed. */
static bool parse_mac(const char *text, unsigned char ret[ETH_ALEN])
{
        static const char digits[] = "0123456789abcdef";
        if (strlen(text) != 3 * ETH_ALEN - 1) {
                return false;
        }
        for (size_t i = 0; i < ETH_ALEN; i++) {
                const char *high = strchr(digits, tolower((unsigned char) text[3 * i]));
                const char *low = strchr(digits, tolower((unsigned char) text[3 * i + 1]));
                if (!high || !low || (i + 1 < ETH_ALEN && text[3 * i + 2] != ':')) {
                        return false;
                }
                ret[i] = (unsigned char) ((high - digits) << 4 | (low - digits));
        }
        return true;
}

int netif_find_by_mac(const char *mac, Netif *ret, Error *err)
{
        LinkSearch search = { .by_mac = true };
        if (!parse_mac(mac, search.mac)) {
                return error_set(err, ERROR_FATAL, EINVAL, "\"%s\" is no hardware address", mac);
        }
        NetlinkRequest request = netlink_request(RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
        int r = netlink_transact(&request, visit_link, &search);
        if (r < 0) {
                return error_errno(err, r, "list interfaces");
        }
        if (search.found) {
                *ret = search.netif;
        }
        return search.found;
}

/* Sends a request about the link of that name. Returns -ENODEV if there is no such link; callers
 * treat that as an answer. */
static int request_by_name(NetlinkRequest *request, const char *name, mnl_cb_t visitor,
                           void *userdata)
{
        if (strlen(name) >= IF_NAMESIZE) {
                return -ENODEV;
        }
        mnl_attr_put_strz(&request->header, IFLA_IFNAME, name);
        return netlink_transact(request, visitor, userdata);
}

int netif_find_by_name(const char *name, Netif *ret, Error *err)
{
        LinkSearch search = {};
        NetlinkRequest request = netlink_request(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
        int r = request_by_name(&request, name, visit_link, &search);
        if (r < 0 && r != -ENODEV) {
                return error_errno(err, r, "look for interface %s", name);
        }
        if (search.found) {
                *ret = search.netif;
        }
        return search.found;
}

typedef struct AddressSearch {
        int index;
        struct in_addr wanted; /* 0: the first of global scope */
        struct in_addr except; /* with except_prefix: passed over */
        unsigned except_prefix;
        bool found;
        struct in_addr address;
        unsigned prefix;
} AddressSearch;

static bool is_searched(const AddressSearch *search, const struct ifaddrmsg *header,
                        struct in_addr local)
{
        if (search->wanted.s_addr != INADDR_ANY) {
                return local.s_addr == search->wanted.s_addr;
        }
        return header->ifa_scope == RT_SCOPE_UNIVERSE &&
               (local.s_addr != search->except.s_addr ||
                header->ifa_prefixlen != search->except_prefix);
}

static int visit_address(const struct nlmsghdr *message, void *userdata)
{
        AddressSearch *search = userdata;
        const struct ifaddrmsg *header = second_header(message, RTM_NEWADDR, sizeof(*header));
        if (!header || header->ifa_family != AF_INET ||
            header->ifa_index != (unsigned) search->index) {
                return MNL_CB_OK;
        }
        const struct in_addr *local =
                find_bytes(message, sizeof(*header), IFA_LOCAL, sizeof(*local));
        if (!local || !is_searched(search, header, *local)) {
                return MNL_CB_OK;
        }
        search->found = true;
        search->address = *local;
        search->prefix = header->ifa_prefixlen;
        return MNL_CB_STOP;
}

static int search_addresses(const Netif *netif, AddressSearch *search, Error *err)
{
        search->index = netif->index;
        NetlinkRequest request = netlink_request(RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
        struct ifaddrmsg *header = mnl_nlmsg_get_payload(&request.header);
        header->ifa_family = AF_INET;
        int r = netlink_transact(&request, visit_address, search);
        return r < 0 ? error_errno(err, r, "list addresses of %s", netif->name) : search->found;
}

int netif_has_address(const Netif *netif, struct in_addr address, Error *err)
{
        AddressSearch search = { .wanted = address };
        if (address.s_addr == INADDR_ANY) {
                return error_set(err, ERROR_FATAL, EINVAL, "0.0.0.0 is no interface's address");
        }
        return search_addresses(netif, &search, err);
}

int netif_first_address(const Netif *netif, struct in_addr *ret_address, unsigned *ret_prefix,
                        Error *err)
{
        AddressSearch search = {};
        int r = search_addresses(netif, &search, err);
        if (r > 0) {
                *ret_address = search.address;
                *ret_prefix = search.prefix;
        }
        return r;
}

/* Sends one ARP announcement (RFC 5227). Without it, neighbours that remember another machine for
 * the address would go on sending to that machine. A VPC needs no announcement, a switch does. */
static int announce(const Netif *netif, struct in_addr address, const unsigned char mac[ETH_ALEN])
{
        struct {
                struct arphdr header;
                unsigned char sender_mac[ETH_ALEN];
                struct in_addr sender;
                unsigned char target_mac[ETH_ALEN];
                struct in_addr target;
        } __attribute__((packed)) packet = {
                .header = { .ar_hrd = htons(ARPHRD_ETHER),
                            .ar_pro = htons(ETH_P_IP),
                            .ar_hln = ETH_ALEN,
                            .ar_pln = sizeof(address),
                            .ar_op = htons(ARPOP_REQUEST) },
                .sender = address,
                .target = address,
        };
        memcpy(packet.sender_mac, mac, ETH_ALEN);
        struct sockaddr_ll to = { .sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ARP),
                                  .sll_ifindex = netif->index,
                                  .sll_halen = ETH_ALEN };
        memset(to.sll_addr, 0xFF, ETH_ALEN);
        _cleanup_close_ int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 ||
            sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *) &to, sizeof(to)) < 0) {
                return -errno;
        }
        return 0;
}

static int visit_mac(const struct nlmsghdr *message, void *userdata)
{
        const struct ifinfomsg *link = second_header(message, RTM_NEWLINK, sizeof(*link));
        const void *mac = link ? find_bytes(message, sizeof(*link), IFLA_ADDRESS, ETH_ALEN) : NULL;
        if (mac) {
                memcpy(userdata, mac, ETH_ALEN);
        }
        return MNL_CB_OK;
}

int netif_has_mac(const char *name, const char *mac, Error *err)
{
        unsigned char wanted[ETH_ALEN], found[ETH_ALEN] = {};
        NetlinkRequest request = netlink_request(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
        int r = request_by_name(&request, name, visit_mac, found);
        if (r < 0 && r != -ENODEV) {
                return error_errno(err, r, "look for interface %s", name);
        }
        return r >= 0 && parse_mac(mac, wanted) && memcmp(wanted, found, ETH_ALEN) == 0;
}

static int change_address(unsigned short type, unsigned short flags, const Netif *netif,
                          struct in_addr address, unsigned prefix)
{
        NetlinkRequest request = netlink_request(type, flags, sizeof(struct ifaddrmsg));
        struct ifaddrmsg *header = mnl_nlmsg_get_payload(&request.header);
        *header = (struct ifaddrmsg) { .ifa_family = AF_INET,
                                       .ifa_prefixlen = (unsigned char) prefix,
                                       .ifa_scope = RT_SCOPE_UNIVERSE,
                                       .ifa_index = (unsigned) netif->index };
        mnl_attr_put_u32(&request.header, IFA_LOCAL, address.s_addr);
        mnl_attr_put_u32(&request.header, IFA_ADDRESS, address.s_addr);
        return netlink_transact(&request, NULL, NULL);
}

int netif_add_address(const Netif *netif, struct in_addr address, Error *err)
{
        char text[INET_ADDRSTRLEN];
        (void) inet_ntop(AF_INET, &address, text, sizeof(text)); /* always fits */
        Effect effect = effect_before("address-add", text);
        int r = change_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, netif, address, 32);
        effect_after(&effect, r, NULL);
        if (r < 0 && r != -EEXIST) {
                return error_errno(err, r, "add %s to %s", text, netif->name);
        }
        unsigned char mac[ETH_ALEN] = {};
        NetlinkRequest request = netlink_request(RTM_GETLINK, 0, sizeof(struct ifinfomsg));
        struct ifinfomsg *link = mnl_nlmsg_get_payload(&request.header);
        link->ifi_index = netif->index;
        r = netlink_transact(&request, visit_mac, mac);
        if (r >= 0) {
                r = announce(netif, address, mac);
        }
        /* A link that is down has no neighbours to tell. */
        return r < 0 && r != -ENETDOWN ? error_errno(err, r, "announce %s on %s", text, netif->name)
                                       : 0;
}

/* Makes a bridge, like "ip link add NAME type bridge". */
static int create_bridge(const char *name)
{
        NetlinkRequest request =
                netlink_request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
        struct nlattr *info = mnl_attr_nest_start(&request.header, IFLA_LINKINFO);
        mnl_attr_put_strz(&request.header, IFLA_INFO_KIND, "bridge");
        mnl_attr_nest_end(&request.header, info);
        return request_by_name(&request, name, NULL, NULL);
}

/* The kernel keeps an MTU that was set. The MTU that a bridge is created with follows its ports. */
static int set_up(const Netif *netif, uint32_t mtu)
{
        NetlinkRequest request = netlink_request(RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
        struct ifinfomsg *link = mnl_nlmsg_get_payload(&request.header);
        link->ifi_index = netif->index;
        link->ifi_flags = link->ifi_change = IFF_UP;
        mnl_attr_put_u32(&request.header, IFLA_MTU, mtu);
        return netlink_transact(&request, NULL, NULL);
}

/* Returns 1, or a negative errno. */
static int remove_address(const Netif *netif, const AddressSearch *found, Error *err)
{
        char text[INET_ADDRSTRLEN];
        (void) inet_ntop(AF_INET, &found->address, text, sizeof(text)); /* always fits */
        Effect effect = effect_before("address-remove", text);
        int r = change_address(RTM_DELADDR, 0, netif, found->address, found->prefix);
        effect_after(&effect, r, NULL);
        return r < 0 ? error_errno(err, r, "remove %s from %s", text, netif->name) : 1;
}

/* Removes the global addresses of that interface except this one. Returns 1 if there were any, else
 * 0, also if there is no such interface. Must be called before this one is added: with a primary
 * address, the kernel removes the secondary ones of its network. */
static int remove_other_addresses(const char *name, struct in_addr address, unsigned prefix,
                                  Error *err)
{
        Netif netif = {};
        int r = netif_find_by_name(name, &netif, err);
        int removed = 0;
        while (r > 0) {
                AddressSearch search = { .except = address, .except_prefix = prefix };
                r = search_addresses(&netif, &search, err);
                if (r > 0) {
                        r = remove_address(&netif, &search, err);
                        removed = 1;
                }
        }
        return r < 0 ? r : removed;
}

static int bring_up_bridge(const char *name, struct in_addr address, unsigned prefix, unsigned mtu,
                           Error *err)
{
        int r = create_bridge(name);
        if (r < 0 && r != -EEXIST) {
                return error_errno(err, r, "make bridge %s", name);
        }
        Netif bridge = {};
        r = netif_find_by_name(name, &bridge, err);
        if (r <= 0) {
                return r < 0 ? r : error_errno(err, ENODEV, "find bridge %s", name);
        }
        r = change_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &bridge, address, prefix);
        if (r >= 0 || r == -EEXIST) {
                r = set_up(&bridge, mtu);
        }
        return r < 0 ? error_errno(err, r, "set up bridge %s", name) : 0;
}

int netif_make_bridge(const char *name, struct in_addr address, unsigned prefix, unsigned mtu,
                      Error *err)
{
        int removed = remove_other_addresses(name, address, prefix, err);
        if (removed < 0) {
                return removed;
        }
        Effect effect = effect_before("bridge", name);
        int r = bring_up_bridge(name, address, prefix, mtu, err);
        effect_after(&effect, r, NULL);
        return r < 0 ? r : removed;
}

typedef struct PortSearch {
        uint32_t bridge;
        bool found;
} PortSearch;

static int visit_port(const struct nlmsghdr *message, void *userdata)
{
        PortSearch *search = userdata;
        const struct ifinfomsg *link = second_header(message, RTM_NEWLINK, sizeof(*link));
        const uint32_t *master =
                link ? find_bytes(message, sizeof(*link), IFLA_MASTER, sizeof(*master)) : NULL;
        if (!master || *master != search->bridge) {
                return MNL_CB_OK;
        }
        search->found = true;
        return MNL_CB_STOP;
}

int netif_has_ports(const char *name, Error *err)
{
        PortSearch search = { .bridge = if_nametoindex(name) };
        NetlinkRequest request = netlink_request(RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
        int r = netlink_transact(&request, visit_port, &search);
        return r < 0 ? error_errno(err, r, "list ports of %s", name) : search.found;
}

typedef struct RouteSearch {
        struct in_addr address;
        unsigned prefix;
        bool found;
        int index;
} RouteSearch;

static int visit_route(const struct nlmsghdr *message, void *userdata)
{
        RouteSearch *search = userdata;
        const struct rtmsg *route = second_header(message, RTM_NEWROUTE, sizeof(*route));
        if (!route || route->rtm_family != AF_INET || route->rtm_table != RT_TABLE_MAIN ||
            route->rtm_type != RTN_UNICAST || route->rtm_dst_len != search->prefix) {
                return MNL_CB_OK;
        }
        const struct in_addr *destination =
                find_bytes(message, sizeof(*route), RTA_DST, sizeof(*destination));
        /* the default route has none */
        if ((destination ? destination->s_addr : INADDR_ANY) != search->address.s_addr) {
                return MNL_CB_OK;
        }
        search->found = true;
        const int *index = find_bytes(message, sizeof(*route), RTA_OIF, sizeof(*index));
        if (index) {
                search->index = *index;
        }
        return MNL_CB_STOP;
}

int netif_has_route(struct in_addr address, unsigned prefix, char *ret_name, Error *err)
{
        RouteSearch search = { .address = address, .prefix = prefix };
        NetlinkRequest request = netlink_request(RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg));
        struct rtmsg *route = mnl_nlmsg_get_payload(&request.header);
        route->rtm_family = AF_INET;
        int r = netlink_transact(&request, visit_route, &search);
        if (r < 0) {
                return error_errno(err, r, "list routes");
        }
        if (search.found && ret_name && !if_indextoname((unsigned) search.index, ret_name)) {
                ret_name[0] = '\0'; /* a multipath route, or its interface was just deleted */
        }
        return search.found;
}

typedef struct NeighbourSearch {
        struct in_addr address;
        unsigned char mac[ETH_ALEN];
        bool found;
} NeighbourSearch;

static int visit_neighbour(const struct nlmsghdr *message, void *userdata)
{
        NeighbourSearch *search = userdata;
        const struct ndmsg *header = second_header(message, RTM_NEWNEIGH, sizeof(*header));
        if (!header || header->ndm_family != AF_INET || !(header->ndm_state & NUD_PERMANENT)) {
                return MNL_CB_OK;
        }
        const struct in_addr *address =
                find_bytes(message, sizeof(*header), NDA_DST, sizeof(*address));
        const void *mac = find_bytes(message, sizeof(*header), NDA_LLADDR, ETH_ALEN);
        if (!address || !mac || address->s_addr != search->address.s_addr ||
            memcmp(mac, search->mac, ETH_ALEN) != 0) {
                return MNL_CB_OK;
        }
        search->found = true;
        return MNL_CB_STOP;
}

int netif_has_neighbour(struct in_addr address, const char *mac, Error *err)
{
        NeighbourSearch search = { .address = address };
        if (!parse_mac(mac, search.mac)) {
                return 0;
        }
        NetlinkRequest request = netlink_request(RTM_GETNEIGH, NLM_F_DUMP, sizeof(struct ndmsg));
        struct ndmsg *header = mnl_nlmsg_get_payload(&request.header);
        header->ndm_family = AF_INET;
        int r = netlink_transact(&request, visit_neighbour, &search);
        return r < 0 ? error_errno(err, r, "list neighbours") : search.found;
}
