/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/node_name.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_alphanumeric(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool node_name_is_valid(const char *s, size_t n)
{
        bool begins = true; /* a label, which begins and ends with a letter or digit */
        if (n == 0 || n > NODE_NAME_MAX) {
                return false;
        }
        for (size_t i = 0; i < n; i++) {
                bool ends = i + 1 == n || s[i + 1] == '.';
                if (s[i] == '.' && !begins) {
                        begins = true;
                } else if (is_alphanumeric(s[i]) || (s[i] == '-' && !begins && !ends)) {
                        begins = false;
                } else {
                        return false;
                }
        }
        return !begins;
}

void node_name_user(const char *node_name, char ret[NODE_USER_MAX])
{
        (void) snprintf(ret, NODE_USER_MAX, NODE_USER "%s", node_name); /* has room */
}

int node_name_from_ec2(const char *private_dns_name, char ret[NODE_NAME_MAX + 1], Error *err)
{
        char name[NODE_NAME_MAX + 1] = "";
        size_t n = strlen(private_dns_name);
        if (n > NODE_NAME_MAX) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "EC2's private DNS name of this machine, %s, has %zu characters: "
                                 "Kubernetes takes at most %d as a Node's name; shorten "
                                 "domain-name in the VPC's DHCP option set, and launch the "
                                 "instance anew",
                                 private_dns_name, n, NODE_NAME_MAX);
        }
        for (size_t i = 0; i < n; i++) {
                name[i] = (char) tolower((unsigned char) private_dns_name[i]);
        }
        if (!node_name_is_valid(name, n)) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "EC2's private DNS name of this machine, \"%s\", cannot be a "
                                 "Node's name: expected letters, digits and hyphens between dots "
                                 "(RFC 1123); correct domain-name in the VPC's DHCP option set, "
                                 "and launch the instance again",
                                 private_dns_name);
        }
        memcpy(ret, name, n + 1);
        return 0;
}
