/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>

/* The transport below host/netif: one request, its whole reply, attributes within their bounds. */

#define NETLINK_TYPES_MAX 64

typedef struct NetlinkRequest {
        struct nlmsghdr header;
        union {
                struct ifinfomsg link;
                struct ifaddrmsg address;
                struct rtmsg route;
                struct ndmsg neighbour;
        };
        char attributes[64];
} NetlinkRequest;

/* One message of a reply: negative ends it. */
typedef int NetlinkVisitor(const struct nlmsghdr *message, void *userdata);

/* A request whose own header has `body` bytes, all zero. */
NetlinkRequest netlink_request(unsigned short type, unsigned short flags, size_t body);

/* 0 or -EMSGSIZE. */
int netlink_append(NetlinkRequest *request, unsigned short type, const void *data, size_t n);

/* Sends and hands every message of the reply to the visitor (NULL: to nobody), until the kernel
 * says that this is all. A dump that changed while it was read is read again from its beginning. 0,
 * or a negative errno: the kernel's, the visitor's. */
int netlink_transact(NetlinkRequest *request, NetlinkVisitor *visitor, void *userdata);

/* The messages of one datagram to the visitor. 1: the reply is complete, 0: more is to come, else
 * as above; -EINTR for a dump that changed, -EBADMSG for lengths that do not fit. */
int netlink_walk(const char *datagram, size_t n, NetlinkVisitor *visitor, void *userdata);

/* Attributes by type, each within [data, data + n); the last one of a type wins. What is malformed
 * ends the list. */
void netlink_index(const void *data, size_t n, const struct rtattr *ret[NETLINK_TYPES_MAX]);

/* A copy of the message's own header, and the attributes after it. False: shorter than that. */
bool netlink_attributes(const struct nlmsghdr *message, void *ret_header, size_t header_size,
                        const struct rtattr *ret[NETLINK_TYPES_MAX]);

/* The payload if there is an attribute, with at least `size` bytes; else NULL. */
const void *netlink_data(const struct rtattr *attribute, size_t size);
size_t netlink_size(const struct rtattr *attribute);
/* A terminated copy, cut to fit; "" for NULL. */
void netlink_text(const struct rtattr *attribute, char *ret, size_t size);
