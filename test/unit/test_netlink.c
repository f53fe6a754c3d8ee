/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"
#include "host/netif.h"

/* Replies that the kernel does not give by itself, to questions about the loopback interface. What
 * it does give is in test_netif.c. */

/* The next n_spoiled calls of recvmsg() do this instead. */
static ssize_t (*spoiled)(int fd, struct msghdr *header);
static unsigned n_spoiled;

static ssize_t receive(int fd, struct msghdr *header)
{
        return syscall(SYS_recvmsg, fd, header, 0);
}

/* In the C library's place, for libmnl. */
ssize_t recvmsg(int fd, struct msghdr *header, int flags)
{
        CHECK_INT(flags, 0);
        if (n_spoiled == 0) {
                return receive(fd, header);
        }
        n_spoiled--;
        return spoiled(fd, header);
}

static const Netif loopback = { .index = 1, .name = "lo" };

/* Looks for 203.0.113.1 in a list of addresses: 0, or an error. */
static int list_addresses(unsigned n, ssize_t (*function)(int fd, struct msghdr *header))
{
        Error err = {};
        n_spoiled = n;
        spoiled = function;
        return netif_has_address(&loopback, (struct in_addr) { htonl(0xCB007101) }, &err);
}

static ssize_t receive_changed(int fd, struct msghdr *header)
{
        ssize_t n = receive(fd, header);
        struct nlmsghdr *message = header->msg_iov->iov_base;
        message->nlmsg_flags |= NLM_F_DUMP_INTR;
        return n;
}

static void changed_dump(void)
{
        CHECK_INT(list_addresses(4, receive_changed), 0);
        CHECK_INT(n_spoiled, 0);
        CHECK_INT(list_addresses(6, receive_changed), -EINTR);
        CHECK_INT(n_spoiled, 1);
}

static ssize_t fail_after_timeout(int fd, struct msghdr *header)
{
        (void) header;
        struct timeval timeout = {};
        socklen_t size = sizeof(timeout);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &size) == 0);
        CHECK_INT(timeout.tv_sec, 5);
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        errno = EAGAIN;
        return -1;
}

static void no_reply(void)
{
        CHECK_INT(list_addresses(1, fail_after_timeout), -ETIMEDOUT);
}

static ssize_t receive_truncated(int fd, struct msghdr *header)
{
        ssize_t n = receive(fd, header);
        header->msg_flags |= MSG_TRUNC;
        return n;
}

static void truncated_datagram(void)
{
        CHECK_INT(list_addresses(1, receive_truncated), -EMSGSIZE);
}

static ssize_t fail_by_signal(int fd, struct msghdr *header)
{
        (void) fd, (void) header;
        errno = EINTR;
        return -1;
}

/* More often than a dump is read again: the same one goes on. */
static void signals(void)
{
        CHECK_INT(list_addresses(9, fail_by_signal), 0);
        CHECK_INT(n_spoiled, 0);
}

/* What comes in place of the kernel's datagram. Behind it the buffer has other bytes, which must
 * not be read. */
static struct {
        _Alignas(struct nlmsghdr) char bytes[256];
        size_t n;
} made;

static struct nlmsghdr *make_message(uint16_t type)
{
        memset(&made, 0, sizeof(made));
        struct nlmsghdr *message = mnl_nlmsg_put_header(made.bytes);
        message->nlmsg_type = type;
        return message;
}

static ssize_t receive_made(int fd, struct msghdr *header)
{
        (void) receive(fd, header);
        memset(header->msg_iov->iov_base, 1, header->msg_iov->iov_len);
        memcpy(header->msg_iov->iov_base, made.bytes, made.n);
        return (ssize_t) made.n;
}

/* Returns whether "lo" was found in the made datagram, or in the kernel's next. */
static int find_made_link(Netif *ret)
{
        Error err = {};
        n_spoiled = 1;
        spoiled = receive_made;
        return netif_find_by_name("lo", ret, &err);
}

static void ends_of_replies(void)
{
        static const struct {
                uint16_t type;
                size_t size;
                int status, expected;
        } cases[] = {
                { NLMSG_DONE, sizeof(int), 0, 0 },
                { NLMSG_DONE, sizeof(int), -ENOBUFS, -ENOBUFS },
                { NLMSG_DONE, sizeof(int) - 1, 0, -EBADMSG },
                { NLMSG_DONE, 0, 0, -EBADMSG },
                { NLMSG_ERROR, sizeof(struct nlmsgerr), 0, 0 },
                { NLMSG_ERROR, sizeof(struct nlmsgerr), -EPERM, -EPERM },
                { NLMSG_ERROR, 0, 0, -EBADMSG },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                struct nlmsghdr *message = make_message(cases[i].type);
                int *status = mnl_nlmsg_put_extra_header(message, sizeof(struct nlmsgerr));
                *status = cases[i].status;
                message->nlmsg_len = (uint32_t) (NLMSG_HDRLEN + cases[i].size);
                made.n = message->nlmsg_len;
                CHECK_INT(list_addresses(1, receive_made), cases[i].expected);
        }
}

static struct nlmsghdr *make_link(void)
{
        struct nlmsghdr *message = make_message(RTM_NEWLINK);
        struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
        link->ifi_index = 4711;
        return message;
}

static void lengths_of_messages(void)
{
        static const struct {
                int longer; /* than it is */
                size_t n;   /* bytes of it that come */
                int index;
        } cases[] = {
                { 0, 32, 4711 }, { 0, 31, 0 },   { 0, 16, 0 },   { 0, 3, 0 },  { -1, 32, 0 },
                { -16, 32, 0 },  { -17, 32, 0 }, { -32, 32, 0 }, { 1, 32, 0 },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Netif netif = {};
                struct nlmsghdr *message = make_link();
                CHECK_INT(message->nlmsg_len, 32);
                message->nlmsg_len += (uint32_t) cases[i].longer;
                made.n = cases[i].n;
                CHECK_INT(find_made_link(&netif), cases[i].index != 0);
                CHECK_INT(netif.index, cases[i].index);
        }
}

static void lengths_of_attributes(void)
{
        static const struct {
                uint16_t length, type;
                size_t n; /* bytes of it that come */
                unsigned mtu;
        } cases[] = {
                { 8, IFLA_MTU, 8, 1500 }, { 8, IFLA_MTU | NLA_F_NESTED, 8, 1500 },
                { 4, IFLA_MTU, 4, 0 },    { 7, IFLA_MTU, 8, 0 },
                { 3, IFLA_MTU, 8, 0 },    { 0, IFLA_MTU, 8, 0 },
                { 8, IFLA_MTU, 4, 0 },    { 12, IFLA_MTU, 8, 0 },
                { 12, IFLA_MTU, 12, 0 },  { 8, 0x3FFF, 8, 0 },
                { 8, IFLA_MTU, 2, 0 },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Netif netif = {};
                struct nlmsghdr *message = make_link();
                struct nlattr *attribute = mnl_nlmsg_get_payload_tail(message);
                mnl_attr_put_u32(message, cases[i].type, 1500);
                attribute->nla_len = cases[i].length;
                message->nlmsg_len += (uint32_t) cases[i].n - 8;
                made.n = message->nlmsg_len;
                CHECK_INT(find_made_link(&netif), 1);
                CHECK_INT(netif.mtu, cases[i].mtu);
        }
}

static void texts(void)
{
        static const struct {
                const char *text;
                size_t n;
                const char *name;
        } cases[] = {
                { "cable", 6, "cable" },
                { "cable", 5, "" }, /* without its end */
                { "", 0, "" },
                { "cable and more", 15, "cable and more" },
                { "cable and more than a name has", 31, "cable and more " },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Netif netif = {};
                struct nlmsghdr *message = make_link();
                mnl_attr_put(message, IFLA_IFNAME, cases[i].n, cases[i].text);
                made.n = message->nlmsg_len;
                CHECK_INT(find_made_link(&netif), 1);
                CHECK_STR(netif.name, cases[i].name);
        }
}

static int send_lie(int from, unsigned port)
{
        struct nlmsghdr *message = make_message(NLMSG_ERROR);
        int *status = mnl_nlmsg_put_extra_header(message, sizeof(struct nlmsgerr));
        *status = -EOWNERDEAD;
        struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = port };
        return sendto(from, message, message->nlmsg_len, 0, (struct sockaddr *) &to, sizeof(to)) < 0
                       ? -errno
                       : 0;
}

static unsigned port_of(int fd)
{
        struct sockaddr_nl address = {};
        socklen_t size = sizeof(address);
        CHECK(getsockname(fd, (struct sockaddr *) &address, &size) == 0 && address.nl_pid != 0);
        return address.nl_pid;
}

static ssize_t receive_beside_lie(int fd, struct msghdr *header)
{
        struct mnl_socket *other = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
        CHECK(other && mnl_socket_bind(other, 0, MNL_SOCKET_AUTOPID) == 0);
        int from = mnl_socket_get_fd(other);
        CHECK_INT(send_lie(from, port_of(from)), 0); /* one that is not connected takes it */
        CHECK_INT(send_lie(from, port_of(fd)), -ECONNREFUSED);
        (void) mnl_socket_close(other);
        return receive(fd, header);
}

static void lies_of_others(void)
{
        CHECK_INT(list_addresses(1, receive_beside_lie), 0);
        CHECK_INT(n_spoiled, 0);
}

int main(void)
{
        static const TestCase cases[] = {
                { "a dump that changed is read again, five times at most", changed_dump },
                { "no reply within the timeout is an error", no_reply },
                { "a truncated datagram is an error", truncated_datagram },
                { "signals do not end a reply", signals },
                { "the end of a reply has the kernel's status", ends_of_replies },
                { "messages with wrong lengths are not read", lengths_of_messages },
                { "attributes with wrong lengths are not read", lengths_of_attributes },
                { "texts are cut, and empty without their end", texts },
        };
        static const TestCase of_root[] = {
                { "datagrams of other processes are refused", lies_of_others },
        };
        test_cases_if(true, NULL, cases, ELEMENTS(cases));
        test_cases_if(unshare(CLONE_NEWNET) == 0, "sending to another process needs root", of_root,
                      ELEMENTS(of_root));
        return test_done();
}
