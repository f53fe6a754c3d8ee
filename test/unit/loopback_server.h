/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A server on loopback and certificates for it, for tests of HTTP and of what is said over it. */

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "harness.h"

/* A thread per connection, answers by path, connections counted. */
typedef struct Server {
        int fd;
        int port;
        SSL_CTX *tls; /* NULL: plain */
        atomic_int connections;
        pthread_t thread; /* accepts connections */
} Server;

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
        size_t n = strlen(text);
        if (n > 0 && c->ssl) {
                (void) SSL_write(c->ssl, text, (int) n); /* a client that went away may do so */
        } else if (n > 0) {
                (void) send(c->fd, text, n, MSG_NOSIGNAL);
        }
}

/* One request, head and body; false at the end of the connection. */
static bool hear(Connection *c, Buffer *request)
{
        size_t want = SIZE_MAX;
        while (request->size < want) {
                char part[4096];
                ssize_t n = c->ssl ? SSL_read(c->ssl, part, sizeof(part))
                                   : recv(c->fd, part, sizeof(part), 0);
                if (n <= 0 || buffer_append(request, part, (size_t) n) < 0) {
                        return false;
                }
                const char *end = strstr(request->data, "\r\n\r\n");
                if (end) {
                        const char *length = strstr(request->data, "Content-Length: ");
                        want = (size_t) (end + 4 - request->data) +
                               (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
                }
        }
        return true;
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
                        _cleanup_buffer_ Buffer request = { 0 };
                        more = hear(c, &request) && answer(c, request.data);
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

/* Ends a server: it accepts no more connections, and no longer uses its context. */
static inline void server_stop(Server *server)
{
        (void) shutdown(server->fd, SHUT_RDWR); /* wakes accept(2) */
        (void) pthread_join(server->thread, NULL);
        (void) close(server->fd);
}

/* Waits until all connections have ended. Their clients must have closed them, and their servers
 * must have been stopped. */
static inline void connections_join(void)
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
                if (c->fd < 0 && errno == EINVAL) { /* server_stop() */
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

static inline void server_start_tcp(Server *server)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        server_start(server, (struct sockaddr *) &address, sizeof(address));
        server->port = ntohs(address.sin_port);
}

static inline void server_start_unix(Server *server, const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        server_start(server, (struct sockaddr *) &address, sizeof(address));
}

/* Certificates of the test's own. */

static inline X509 *make_certificate(const char *name, const char *san, EVP_PKEY *key, X509 *issuer,
                                     EVP_PKEY *issuer_key)
{
        X509 *x = X509_new();
        (void) X509_set_version(x, X509_VERSION_3);
        (void) ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
        (void) X509_gmtime_adj(X509_getm_notBefore(x), -60);
        (void) X509_gmtime_adj(X509_getm_notAfter(x), 3600);
        (void) X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                          (const unsigned char *) name, -1, -1, 0);
        (void) X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
        (void) X509_set_pubkey(x, key);
        X509_EXTENSION *extension =
                X509V3_EXT_conf_nid(NULL, NULL, san ? NID_subject_alt_name : NID_basic_constraints,
                                    san      ? san
                                    : issuer ? "CA:FALSE"
                                             : "critical,CA:TRUE");
        if (!extension || !X509_add_ext(x, extension, -1) ||
            !X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256())) {
                abort();
        }
        X509_EXTENSION_free(extension);
        return x;
}

static inline char *to_pem(X509 *certificate, EVP_PKEY *key)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        if (certificate) {
                (void) PEM_write_bio_X509(bio, certificate);
        } else {
                (void) PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
        }
        long n = BIO_get_mem_data(bio, &data);
        char *pem = strndup(data, (size_t) n);
        (void) BIO_free(bio);
        return pem;
}

static inline SSL_CTX *make_context(X509 *certificate, EVP_PKEY *key, X509 *ca)
{
        SSL_CTX *context = SSL_CTX_new(TLS_server_method());
        X509_STORE *store = SSL_CTX_get_cert_store(context);
        if (SSL_CTX_use_certificate(context, certificate) != 1 ||
            SSL_CTX_use_PrivateKey(context, key) != 1 || X509_STORE_add_cert(store, ca) != 1) {
                abort();
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL); /* asked for, not demanded */
        (void) SSL_CTX_set_session_id_context(context, (const unsigned char *) "t", 1);
        return context;
}
