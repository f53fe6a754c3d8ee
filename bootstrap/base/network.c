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

int network_parse_address(const char *s, struct in_addr *ret_address, unsigned *ret_prefix)
{
        char text[INET_ADDRSTRLEN];
        const char *slash = strchr(s, '/');
        struct in_addr address;
        uint64_t prefix;
        if (!slash || (size_t) (slash - s) >= sizeof(text) || strlen(slash + 1) > 2 ||
            string_parse_u64(slash + 1, 32, &prefix) < 0) {
                return -EINVAL;
        }
        memcpy(text, s, (size_t) (slash - s));
        text[slash - s] = '\0';
        if (inet_pton(AF_INET, text, &address) != 1) {
                return -EINVAL;
        }
        *ret_address = address;
        *ret_prefix = (unsigned) prefix;
        return 0;
}

int network_parse(const char *s, Network *ret)
{
        struct in_addr address;
        unsigned prefix;
        if (network_parse_address(s, &address, &prefix) < 0) {
                return -EINVAL;
        }
        uint32_t host = ntohl(address.s_addr), mask = mask_of(prefix);
        *ret = (Network) { .first = host & mask, .prefix = prefix };
        return (host & ~mask) != 0;
}

void network_format_address(struct in_addr address, unsigned prefix, char ret[NETWORK_TEXT_MAX])
{
        char text[INET_ADDRSTRLEN];
        (void) inet_ntop(AF_INET, &address, text, sizeof(text)); /* fits */
        (void) snprintf(ret, NETWORK_TEXT_MAX, "%s/%u", text, prefix);
}

void network_format(Network network, char ret[NETWORK_TEXT_MAX])
{
        const struct in_addr first = { .s_addr = htonl(network.first) };
        network_format_address(first, network.prefix, ret);
}

void network_format_nth(Network network, uint32_t n, char ret[INET_ADDRSTRLEN])
{
        const struct in_addr address = { .s_addr = htonl(network.first + n) };
        (void) inet_ntop(AF_INET, &address, ret, INET_ADDRSTRLEN); /* fits */
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
