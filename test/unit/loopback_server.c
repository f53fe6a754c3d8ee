/* SPDX-License-Identifier: Apache-2.0 */
#include "loopback_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire.h"

typedef struct Connection {
        Server *server;
        int fd;
        SSL *ssl;
} Connection;

static const struct {
        const char *path;
        const char *reply;
        bool close;
} answers[] = {
        { "/ok ", "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Mixed: \t two \r\n"
                  "X-Empty:\r\nContent-Length: 5\r\n\r\nhello" },
        { "/missing ", "HTTP/1.1 404 Not Found\r\nDate: soon\r\nContent-Length: 0\r\n\r\n" },
        { "/moved ", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n" },
        { "/interim ", "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
                       "HTTP/1.1 200 OK\r\nX-Late: 1\r\nContent-Length: 0\r\n\r\n" },
        { "/chunked ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n" },
        { "/huge ", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" },
        { "/cut ", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", true },
        { "/cut-chunk ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
          true },
        { "/once ", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true },
        { "/garbage ", "220 mail.example.com ESMTP\r\n", true },
        { "/nothing ", "", true },
        { "/silent ", "" },
        /* docker's */
        { "/v1.40/_ping ", "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n" },
        { "/v1.40/info ", "HTTP/1.1 500 Oops\r\nContent-Length: 18\r\n\r\n{\"message\":\"boom\"}" },
        { "/v1.40/images/odd/json ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]" },
        { "/v1.40/images/refused/json ", "HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\n{}" },
        { "/v1.40/images/absent/json ", "HTTP/1.1 404 None\r\nContent-Length: 2\r\n\r\n{}" },
        /* etcd's */
        { "/odd/v3/kv/range ", "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n"
                               "{\"kvs\":[{\"key\":\"YQ==\",\"value\":\"!!!!\"}]}" },
        { "/text/v3/kv/range ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" },
        { "/old/v3/kv/range ", "HTTP/1.1 404 None\r\nContent-Length: 9\r\n\r\nNot Found" },
        { "/down/v3/kv/range ", "HTTP/1.1 503 Unavailable\r\nContent-Length: 43\r\n\r\n"
                                "{\"error\":\"etcdserver: no leader\",\"code\":14}" },
        { "/down/health ", "HTTP/1.1 503 Unavailable\r\nContent-Length: 18\r\n\r\n"
                           "{\"health\":\"false\"}" },
};

static void say(Connection *c, const char *text)
{
        wire_send(c->fd, c->ssl, text);
}

static void say_body(Connection *c, const char *text)
{
        char head[64];
        (void) snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                        strlen(text));
        say(c, head);
        say(c, text);
}

/* Who the client's certificate says it is. */
static void say_peer(Connection *c)
{
        char name[256] = "nobody";
        X509 *peer = c->ssl ? SSL_get1_peer_certificate(c->ssl) : NULL;
        if (peer) {
                (void) X509_NAME_oneline(X509_get_subject_name(peer), name, sizeof(name));
        }
        X509_free(peer);
        say_body(c, name);
}

static void say_headers(Connection *c, unsigned n, size_t length)
{
        char line[8192];
        say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (unsigned i = 0; i < n; i++) {
                (void) snprintf(line, sizeof(line), "X-%u: %0*d\r\n", i, (int) length, 7);
                say(c, line);
        }
        say(c, "\r\n");
}

/* False if the connection is to be closed. */
static bool answer(Connection *c, const char *request)
{
        const char *path = strchr(request, ' ') + 1;
        FOREACH_ARRAY(row, answers, ELEMENTS(answers)) {
                if (string_starts_with(path, row->path)) {
                        say(c, row->reply);
                        return !row->close;
                }
        }
        if (string_starts_with(path, "/echo")) {
                say_body(c, request);
        } else if (string_starts_with(path, "/who ")) {
                say_peer(c);
        } else {
                bool many = string_starts_with(path, "/many ");
                say_headers(c, 100, many ? 1 : 8000);
        }
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
