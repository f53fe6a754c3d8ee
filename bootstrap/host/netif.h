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

/* The physical-looking interface with that hardware address ("02:0a:…", any case): 1 found, 0 none.
 * VLANs, macvlans and bridges on top that carry the same address are passed over. */
int netif_find_by_mac(const char *mac, Netif *ret, Error *err);

/* 1 found, 0 none. */
int netif_find_by_name(const char *name, Netif *ret, Error *err);

/* Whether the address is on the interface: 1 or 0. */
int netif_has_address(const Netif *netif, struct in_addr address, Error *err);

/* Adds it as a secondary /32 with no label; one that is there already is fine. Announces it by
 * gratuitous ARP. */
int netif_add_address(const Netif *netif, struct in_addr address, Error *err);

/* Returns 1 if there is an interface of that name with that hardware address, else 0. */
int netif_has_mac(const char *name, const char *mac, Error *err);

/* The first IPv4 address of the interface and its prefix length: 1, or 0 if it has none. */
int netif_first_address(const Netif *netif, struct in_addr *ret_address, unsigned *ret_prefix,
                        Error *err);

/* Whether the main table routes exactly address/prefix: 1 or 0. `ret_name` (IF_NAMESIZE bytes, may
 * be NULL) gets the interface. */
int netif_has_route(struct in_addr address, unsigned prefix, char *ret_name, Error *err);

/* Whether the address is a permanent neighbour (ip neighbour) with that hardware address, on
 * whatever interface: 1 or 0. A malformed address is nobody's. */
int netif_has_neighbour(struct in_addr address, const char *mac, Error *err);

/* A bridge of that name with this address alone, up: makes what is missing of that. One that has
 * another address is deleted and made anew, so nothing of an earlier network outlives it. */
int netif_make_bridge(const char *name, struct in_addr address, unsigned prefix, unsigned mtu,
                      Error *err);

/* Deletes a link (a stale bridge): 1 deleted, 0 was not there. */
int netif_delete(const char *name, Error *err);
