/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/network.h"
#include "config/stack_config.h"

/* Checks OVERLAY_NETWORK and SERVICE_NETWORK: flannel and the API server must be able to work
 * with them and no address belongs to two. All return 0, or -ENOMEM. */

/* One value alone: form, size, and the ranges that are nobody's. Appends what is wrong as the end
 * of a sentence about it ("too small, expected /8 to /22 …"), and nothing if all is well. */
int networks_check_value(const char *key, const char *value, Buffer *problem);

/* The same for an address of a machine. */
int networks_check_address(struct in_addr address, Buffer *problem);

/* The two networks and MASTER_PRIVATE_IP with each other; values that are not set are left out.
 * Appends a line with file, line and key for each that is wrong. */
int networks_check_pairs(const char *path, const StackConfig *config, StringList *problems);

/* The same for the two networks with the blocks of the VPC that the machine is in. */
int networks_check_vpc(const char *path, const StackConfig *config, const Network *blocks, size_t n,
                       StringList *problems);
