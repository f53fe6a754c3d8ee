/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/network.h"
#include "config/stack_config.h"

/* Checks OVERLAY_NETWORK and SERVICE_NETWORK: flannel and the API server must be able to work with
 * them, and no address may belong to two of them. All functions return 0, or -ENOMEM. */

/* Checks one value alone: its form, its size, and that it is not in a range that is reserved.
 * Appends what is wrong as the end of a sentence about it ("too small, expected /8 to /22 …"), or
 * nothing if all is well. */
int networks_check_value(const char *key, const char *value, Buffer *problem);

/* Checks in the same way that the address of a machine is not in a range that is reserved. */
int networks_check_address(struct in_addr address, Buffer *problem);

/* Checks that the two networks and MASTER_PRIVATE_IP do not overlap. Values that are not set are
 * left out. Appends a message with file, line and key for each overlap. */
int networks_check_pairs(const char *path, const StackConfig *config, StringList *problems);

/* Checks in the same way that the two networks do not overlap the blocks of the VPC that the
 * machine is in. */
int networks_check_vpc(const char *path, const StackConfig *config, const Network *blocks, size_t n,
                       StringList *problems);
