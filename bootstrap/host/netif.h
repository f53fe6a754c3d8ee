/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Interfaces, addresses and routes, through rtnetlink (rtnetlink(7)). IPv4. */

typedef struct Netif {
        int index;
        char name[IF_NAMESIZE];
        unsigned mtu;
        bool up;
} Netif;

/* Finds the physical (or veth) interface with that hardware address ("02:0a:…", any case). Skips
 * VLANs, macvlans and bridges on top of it that carry the same address. Returns 1 if found, else
 * 0. */
int netif_find_by_mac(const char *mac, Netif *ret, Error *err);

/* Returns 1 if found, else 0. */
int netif_find_by_name(const char *name, Netif *ret, Error *err);

/* Returns 1 if the address is on the interface, else 0. */
int netif_has_address(const Netif *netif, struct in_addr address, Error *err);

/* Adds the address as a secondary /32 with no label; an address that is there already is fine.
 * Announces the address by gratuitous ARP. */
int netif_add_address(const Netif *netif, struct in_addr address, Error *err);

/* Returns 1 if there is an interface of that name with that hardware address, else 0. */
int netif_has_mac(const char *name, const char *mac, Error *err);

/* Returns 1 and the first global IPv4 address of the interface and its prefix length, or 0 if it
 * has none. */
int netif_first_address(const Netif *netif, struct in_addr *ret_address, unsigned *ret_prefix,
                        Error *err);

/* Returns 1 if the main table routes exactly address/prefix, else 0. `ret_name` (IF_NAMESIZE bytes,
 * may be NULL) gets the interface. */
int netif_has_route(struct in_addr address, unsigned prefix, char *ret_name, Error *err);

/* Returns 1 if the address is a permanent neighbour (ip neighbour) with that hardware address, on
 * any interface, else 0. A malformed hardware address matches no neighbour. */
int netif_has_neighbour(struct in_addr address, const char *mac, Error *err);

/* Gives the bridge of that name exactly this global address and this MTU, and brings it up. Makes
 * the bridge if there is none; an existing one keeps its ports. Returns 1 if another global address
 * was removed from it, else 0. */
int netif_make_bridge(const char *name, struct in_addr address, unsigned prefix, unsigned mtu,
                      Error *err);

/* Returns 1 if an interface is connected to the bridge of that name, else 0. */
int netif_has_ports(const char *name, Error *err);
