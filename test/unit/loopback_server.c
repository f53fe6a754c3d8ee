/* SPDX-License-Identifier: Apache-2.0 */
#include "loopback_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire.h"

struct Connection {
        Server *server;
        int fd;
        SSL *ssl;
};

void loopback_say(Connection *c, const char *text)
{
        wire_send(c->fd, c->ssl, text);
}

void loopback_say_body(Connection *c, const char *text)
{
        char head[64];
        (void) snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                        strlen(text));
        loopback_say(c, head);
        loopback_say(c, text);
}

SSL *loopback_tls(Connection *c)
{
        return c->ssl;
}

/* Returns false if the connection is to be closed. */
static bool answer(Connection *c, const char *request)
{
        const char *path = strchr(request, ' ') + 1;
        for (const Answer *row = c->server->answers; row->path; row++) {
                if (!string_starts_with(path, row->path)) {
                        continue;
                }
                if (row->say) {
                        row->say(c, request);
                } else {
                        loopback_say(c, row->reply);
                }
                return !row->close;
        }
        loopback_say(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        return true;
}

static void *connection_main(void *userdata)
{
        Connection *c = userdata;
        if (!c->ssl || SSL_accept(c->ssl) == 1) {
                for (bool more = true; more;) {
                        _cleanup_buffer_ Buffer request = {};
                        more = wire_receive(c->fd, c->ssl, &request) && answer(c, request.data);
                }
        }
        SSL_free(c->ssl);
        (void) close(c->fd);
        free(c);
        return NULL;
}

/* Kept to be joined: OpenSSL's state of a thread that still runs at the end looks like a leak. */
#define CONNECTIONS_MAX 1024
static pthread_t connection_threads[CONNECTIONS_MAX];
static unsigned n_connection_threads;
static pthread_mutex_t connection_mutex = PTHREAD_MUTEX_INITIALIZER;

static bool connection_start(Connection *c)
{
        (void) pthread_mutex_lock(&connection_mutex);
        bool started = n_connection_threads < CONNECTIONS_MAX &&
                       pthread_create(&connection_threads[n_connection_threads], NULL,
                                      connection_main, c) == 0;
        n_connection_threads += started;
        (void) pthread_mutex_unlock(&connection_mutex);
        return started;
}

void loopback_stop(Server *server)
{
        (void) shutdown(server->fd, SHUT_RDWR); /* wakes accept(2) */
        (void) pthread_join(server->thread, NULL);
        (void) close(server->fd);
}

void connections_join(void)
{
        (void) pthread_mutex_lock(&connection_mutex);
        while (n_connection_threads > 0) {
                (void) pthread_join(connection_threads[--n_connection_threads], NULL);
        }
        (void) pthread_mutex_unlock(&connection_mutex);
}

static void *server_main(void *userdata)
{
        Server *server = userdata;
        for (;;) {
                Connection *c = calloc(1, sizeof(*c));
                c->server = server;
                c->fd = accept(server->fd, NULL, NULL);
                if (c->fd < 0 && errno == EINVAL) { /* loopback_stop() */
                        free(c);
                        return NULL;
                }
                atomic_fetch_add(&server->connections, 1);
                if (server->tls) {
                        c->ssl = SSL_new(server->tls);
                        (void) SSL_set_fd(c->ssl, c->fd);
                }
                if (c->fd < 0 || !connection_start(c)) {
                        abort();
                }
        }
        return NULL;
}

static void server_start(Server *server, struct sockaddr *address, socklen_t size)
{
        server->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(server->fd, address, size) < 0 || listen(server->fd, 16) < 0 ||
            getsockname(server->fd, address, &size) < 0 ||
            pthread_create(&server->thread, NULL, server_main, server) != 0) {
                perror("server");
                exit(EXIT_FAILURE);
        }
}

void loopback_start_tcp(Server *server)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        server_start(server, (struct sockaddr *) &address, sizeof(address));
        server->port = ntohs(address.sin_port);
}

void loopback_start_unix(Server *server, const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        server_start(server, (struct sockaddr *) &address, sizeof(address));
}
