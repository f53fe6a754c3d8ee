/* SPDX-License-Identifier: Apache-2.0 */
#include "host/netlink.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/cleanup.h"

#define REPLY_BYTES_MAX 65536
#define REPLY_TIMEOUT_S 5
#define DUMP_ATTEMPTS   5

int netlink_append(NetlinkRequest *request, unsigned short type, const void *data, size_t n)
{
        size_t at = NLMSG_ALIGN(request->header.nlmsg_len), length = RTA_LENGTH(n);
        if (at + RTA_ALIGN(length) > sizeof(*request)) {
                return -EMSGSIZE;
        }
        struct rtattr attribute = { .rta_len = (unsigned short) length, .rta_type = type };
        memcpy((char *) request + at, &attribute, sizeof(attribute));
        memcpy((char *) request + at + RTA_LENGTH(0), data, n);
        request->header.nlmsg_len = (uint32_t) (at + RTA_ALIGN(length));
        return 0;
}

void netlink_index(const void *data, size_t n, const struct rtattr *ret[NETLINK_TYPES_MAX])
{
        for (size_t i = 0; i < NETLINK_TYPES_MAX; i++) {
                ret[i] = NULL;
        }
        const char *p = data;
        while (n >= sizeof(struct rtattr)) {
                const struct rtattr *attribute = (const struct rtattr *) (const void *) p;
                size_t length = attribute->rta_len;
                if (length < sizeof(*attribute) || length > n) {
                        return;
                }
                unsigned type = attribute->rta_type & NLA_TYPE_MASK;
                if (type < NETLINK_TYPES_MAX) {
                        ret[type] = attribute;
                }
                size_t step = RTA_ALIGN(length) > n ? n : RTA_ALIGN(length);
                p += step;
                n -= step;
        }
}

bool netlink_attributes(const struct nlmsghdr *message, void *ret_header, size_t header_size,
                        const struct rtattr *ret[NETLINK_TYPES_MAX])
{
        size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(header_size));
        if (message->nlmsg_len < skip) {
                return false;
        }
        memcpy(ret_header, (const char *) message + NLMSG_LENGTH(0), header_size);
        netlink_index((const char *) message + skip, message->nlmsg_len - skip, ret);
        return true;
}

const void *netlink_data(const struct rtattr *attribute, size_t size)
{
        return attribute && attribute->rta_len >= RTA_LENGTH(size)
                       ? (const char *) attribute + RTA_LENGTH(0)
                       : NULL;
}

size_t netlink_size(const struct rtattr *attribute)
{
        return attribute->rta_len - RTA_LENGTH(0);
}

void netlink_text(const struct rtattr *attribute, char *ret, size_t size)
{
        const char *text = netlink_data(attribute, 0);
        size_t n = 0;
        if (text) {
                n = strnlen(text, netlink_size(attribute));
                n = n < size ? n : size - 1;
                memcpy(ret, text, n);
        }
        ret[n] = '\0';
}

static int open_netlink(void)
{
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        struct timeval timeout = { .tv_sec = REPLY_TIMEOUT_S }; /* the kernel answers at once */
        struct sockaddr_nl address = { .nl_family = AF_NETLINK };
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
            bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                return -errno;
        }
        return TAKE_FD(fd);
}

/* One datagram, from the kernel and whole. */
static ssize_t receive(int fd, char *buffer)
{
        for (;;) {
                struct sockaddr_nl from = {};
                struct iovec iov = { .iov_base = buffer, .iov_len = REPLY_BYTES_MAX };
                struct msghdr header = { .msg_name = &from,
                                         .msg_namelen = sizeof(from),
                                         .msg_iov = &iov,
                                         .msg_iovlen = 1 };
                ssize_t n = recvmsg(fd, &header, 0);
                if (n < 0 && errno == EINTR) {
                        continue;
                }
                if (n < 0) {
                        return errno == EAGAIN ? -ETIMEDOUT : -errno;
                }
                if (header.msg_flags & MSG_TRUNC) {
                        return -EMSGSIZE;
                }
                if (from.nl_pid == 0) {
                        return n;
                }
        }
}

int netlink_walk(const char *buffer, size_t n, NetlinkVisitor *visitor, void *userdata)
{
        const char *p = buffer;
        while (n >= sizeof(struct nlmsghdr)) {
                const struct nlmsghdr *message = (const struct nlmsghdr *) (const void *) p;
                if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > n) {
                        return -EBADMSG;
                }
                if (message->nlmsg_flags & NLM_F_DUMP_INTR) {
                        return -EINTR;
                }
                if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
                        if (message->nlmsg_len < NLMSG_LENGTH(sizeof(int))) {
                                return -EBADMSG;
                        }
                        int error;
                        memcpy(&error, p + NLMSG_LENGTH(0), sizeof(error));
                        return error < 0 ? error : 1; /* 0: done, or acknowledged */
                }
                int r = visitor ? visitor(message, userdata) : 0;
                if (r < 0) {
                        return r;
                }
                size_t step = NLMSG_ALIGN(message->nlmsg_len);
                step = step > n ? n : step;
                p += step;
                n -= step;
        }
        return n == 0 ? 0 : -EBADMSG;
}

static int transact_once(NetlinkRequest *request, char *buffer, NetlinkVisitor *visitor,
                         void *userdata)
{
        _cleanup_close_ int fd = open_netlink();
        if (fd < 0) {
                return fd;
        }
        request->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
        if (send(fd, request, request->header.nlmsg_len, 0) < 0) {
                return -errno;
        }
        for (;;) {
                ssize_t n = receive(fd, buffer);
                if (n < 0) {
                        return (int) n;
                }
                int r = netlink_walk(buffer, (size_t) n, visitor, userdata);
                if (r != 0) {
                        return r < 0 ? r : 0;
                }
        }
}

int netlink_transact(NetlinkRequest *request, NetlinkVisitor *visitor, void *userdata)
{
        _cleanup_free_ char *buffer = malloc(REPLY_BYTES_MAX);
        if (!buffer) {
                return -ENOMEM;
        }
        int r = -EINTR;
        for (unsigned i = 0; r == -EINTR && i < DUMP_ATTEMPTS; i++) {
                r = transact_once(request, buffer, visitor, userdata);
        }
        return r;
}

NetlinkRequest netlink_request(unsigned short type, unsigned short flags, size_t body)
{
        return (NetlinkRequest) { .header = { .nlmsg_len = (uint32_t) NLMSG_LENGTH(body),
                                              .nlmsg_type = type,
                                              .nlmsg_flags = flags } };
}
