/* SPDX-License-Identifier: Apache-2.0 */
#include "base/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "base/string.h"

static uint32_t mask_of(unsigned prefix)
{
        return prefix > 0 ? UINT32_MAX << (32 - prefix) : 0;
}

int network_parse(const char *s, Network *ret)
{
        char address[INET_ADDRSTRLEN];
        const char *slash = strchr(s, '/');
        struct in_addr in;
        uint64_t prefix;
        if (!slash || (size_t) (slash - s) >= sizeof(address) || strlen(slash + 1) > 2 ||
            string_parse_u64(slash + 1, 32, &prefix) < 0) {
                return -EINVAL;
        }
        memcpy(address, s, (size_t) (slash - s));
        address[slash - s] = '\0';
        if (inet_pton(AF_INET, address, &in) != 1) {
                return -EINVAL;
        }
        uint32_t mask = mask_of((unsigned) prefix);
        *ret = (Network) { .first = ntohl(in.s_addr) & mask, .prefix = (unsigned) prefix };
        return (ntohl(in.s_addr) & ~mask) != 0;
}

void network_format(Network network, char ret[NETWORK_TEXT_MAX])
{
        char address[INET_ADDRSTRLEN];
        const struct in_addr in = { .s_addr = htonl(network.first) };
        (void) inet_ntop(AF_INET, &in, address, sizeof(address)); /* fits */
        (void) snprintf(ret, NETWORK_TEXT_MAX, "%s/%u", address, network.prefix);
}

Network network_of_address(struct in_addr address)
{
        return (Network) { .first = ntohl(address.s_addr), .prefix = 32 };
}

bool network_overlaps(Network a, Network b)
{
        uint32_t mask = mask_of(a.prefix < b.prefix ? a.prefix : b.prefix);
        return (a.first & mask) == (b.first & mask);
}
