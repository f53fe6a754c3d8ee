/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* A Node's name is a DNS name (RFC 1123) in lower case, and also its label kubernetes.io/hostname,
 * which is why it has at most 63 characters.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
 */
#define NODE_NAME_MAX 63

/* Returns true if s, of n characters, is such a name. */
bool node_name_is_valid(const char *s, size_t n);

/* The user that a Node's kubelet is to the API server, and its group.
 * https://kubernetes.io/docs/reference/access-authn-authz/node/ */
#define NODE_USER     "system:node:"
#define NODE_USER_MAX (sizeof(NODE_USER) + NODE_NAME_MAX)
#define NODE_GROUP    "system:nodes"
void node_name_user(const char *node_name, char ret[NODE_USER_MAX]);

/* Makes the Node's name of a machine from its private DNS name in EC2: the same name in lower case.
 * ERROR_CONFIG (-EINVAL) if Kubernetes does not accept it. */
int node_name_from_ec2(const char *private_dns_name, char ret[NODE_NAME_MAX + 1], Error *err);
