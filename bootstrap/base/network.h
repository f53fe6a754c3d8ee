/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* An IPv4 network in CIDR notation (RFC 4632). */
typedef struct Network {
        uint32_t first;  /* its lowest address, host byte order */
        unsigned prefix; /* length, 0 to 32 */
} Network;

#define NETWORK_TEXT_MAX sizeof("255.255.255.255/32")

/* Reads a network such as "10.244.0.0/16". Returns 0; 1 if address bits behind the prefix are set
 * (10.244.0.1/16), *ret is then the network around that address; -EINVAL for any other text. */
int network_parse(const char *s, Network *ret);

/* Reads an interface's address with the length of its network's prefix ("10.244.5.1/24"). Returns
 * 0, or -EINVAL. */
int network_parse_address(const char *s, struct in_addr *ret_address, unsigned *ret_prefix);

void network_format(Network network, char ret[NETWORK_TEXT_MAX]);

/* Writes an address and its prefix as network_parse_address() reads them. */
void network_format_address(struct in_addr address, unsigned prefix, char ret[NETWORK_TEXT_MAX]);

/* Writes the nth address of the network, counted from 0. */
void network_format_nth(Network network, uint32_t n, char ret[INET_ADDRSTRLEN]);

/* Returns the network of one address, a /32. */
Network network_of_address(struct in_addr address);

/* Returns true if at least one address belongs to both. */
bool network_overlaps(Network a, Network b);
