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

/* Reads "10.244.0.0/16". 0; 1 where address bits are set behind the prefix (10.244.0.1/16), *ret is
 * then the network around that address; -EINVAL for any other text. */
int network_parse(const char *s, Network *ret);

void network_format(Network network, char ret[NETWORK_TEXT_MAX]);

/* The network of one address, /32. */
Network network_of_address(struct in_addr address);

/* Returns true if at least one address belongs to both. */
bool network_overlaps(Network a, Network b);
