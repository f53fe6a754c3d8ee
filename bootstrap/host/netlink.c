/* SPDX-License-Identifier: Apache-2.0 */
#include "host/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/cleanup.h"
#include "base/string.h"

DEFINE_CLEANUP(struct mnl_socket *, mnl_socket_close);

#define REPLY_BYTES_MAX 32768 /* the kernel's datagrams of a dump are not longer */
#define REPLY_TIMEOUT_S 5
#define DUMP_ATTEMPTS   5

NetlinkRequest netlink_request(uint16_t type, uint16_t flags, size_t size)
{
        NetlinkRequest request = {};
        struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
        header->nlmsg_type = type;
        header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        (void) mnl_nlmsg_put_extra_header(header, size);
        return request;
}

/* Connects to the kernel, so that datagrams of other processes are refused. */
static int netlink_open(struct mnl_socket **ret)
{
        _cleanup_(mnl_socket_closep) struct mnl_socket *s =
                mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
        if (!s) {
                return -errno;
        }
        int fd = mnl_socket_get_fd(s);
        struct timeval timeout = { .tv_sec = REPLY_TIMEOUT_S };
        struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
            connect(fd, (struct sockaddr *) &kernel, sizeof(kernel)) < 0) {
                return -errno;
        }
        *ret = TAKE(s);
        return 0;
}

/* Returns the length of the next datagram, or a negative errno. */
static ssize_t netlink_receive(const struct mnl_socket *s, char buffer[REPLY_BYTES_MAX])
{
        ssize_t n;
        do {
                n = mnl_socket_recvfrom(s, buffer, REPLY_BYTES_MAX);
        } while (n < 0 && errno == EINTR);
        if (n >= 0) {
                return n;
        }
        switch (errno) {
        case EAGAIN:
                return -ETIMEDOUT;
        case ENOSPC: /* how libmnl reports a truncated datagram */
                return -EMSGSIZE;
        default:
                return -errno;
        }
}

/* Ends the reply with the kernel's status. libmnl's own callback for the end of a dump does not
 * look at it. */
static int netlink_end_reply(const struct nlmsghdr *message, void *userdata)
{
        (void) userdata;
        const int *status = mnl_nlmsg_get_payload(message);
        if (mnl_nlmsg_get_payload_len(message) < sizeof(*status)) {
                errno = EBADMSG;
                return MNL_CB_ERROR;
        }
        if (*status < 0) {
                errno = -*status;
                return MNL_CB_ERROR;
        }
        return MNL_CB_STOP;
}

/* The socket serves this request only, so its replies need no sequence number. */
static int netlink_transact_once(const NetlinkRequest *request, mnl_cb_t visitor, void *userdata)
{
        mnl_cb_t ends[] = { [NLMSG_ERROR] = netlink_end_reply, [NLMSG_DONE] = netlink_end_reply };
        _Alignas(struct nlmsghdr) char reply[REPLY_BYTES_MAX];
        _cleanup_(mnl_socket_closep) struct mnl_socket *s = NULL;
        int r = netlink_open(&s);
        if (r < 0) {
                return r;
        }
        if (mnl_socket_sendto(s, request, request->header.nlmsg_len) < 0) {
                return -errno;
        }
        do {
                ssize_t n = netlink_receive(s, reply);
                if (n < 0) {
                        return (int) n;
                }
                r = mnl_cb_run2(reply, (size_t) n, 0, 0, visitor, userdata, ends, ELEMENTS(ends));
        } while (r > MNL_CB_STOP);
        return r < 0 ? -errno : 0;
}

int netlink_transact(const NetlinkRequest *request, mnl_cb_t visitor, void *userdata)
{
        int r = -EINTR; /* how libmnl reports NLM_F_DUMP_INTR */
        for (unsigned i = 0; r == -EINTR && i < DUMP_ATTEMPTS; i++) {
                r = netlink_transact_once(request, visitor, userdata);
        }
        return r;
}
