/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdint.h>

/* Sends one rtnetlink request to the kernel for host/netif, and reads its whole reply, by
 * libmnl. */

/* Has room for the two headers and the attributes of each request of host/netif. The longest, which
 * makes a bridge, has 68 bytes. */
typedef union NetlinkRequest {
        struct nlmsghdr header;
        char bytes[128];
} NetlinkRequest;

/* Returns a request whose second header (mnl_nlmsg_get_payload()) has `size` bytes, all zero. */
NetlinkRequest netlink_request(uint16_t type, uint16_t flags, size_t size);

/* Sends the request and calls visitor (which may be NULL) with each message of the reply, until the
 * reply ends or visitor returns MNL_CB_STOP. A dump that changed while it was read is read again
 * from its beginning, at most five times in all. Returns 0 or a negative errno, which may be the
 * kernel's answer; -ETIMEDOUT if the kernel does not answer within five seconds, -EMSGSIZE if a
 * datagram is longer than any that the kernel makes. */
int netlink_transact(const NetlinkRequest *request, mnl_cb_t visitor, void *userdata);
