/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An HTTP server on loopback, plain or with TLS, whose answers a test writes: in order, or by a
 * function of the request. What it was asked is kept. */

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "harness.h"

#define SCRIPT_MAX 32

/* The whole reply, malloc'ed, for a whole request; number counts from 0 since server_reset(). NULL
 * closes the connection; an empty string says nothing and keeps it. */
typedef char *Respond(const char *request, unsigned number);

typedef struct ScriptedServer {
        int fd, port;
        SSL_CTX *tls;
        pthread_t thread; /* accepts connections */
        pthread_mutex_t mutex;
        pthread_cond_t peer_ended;
        unsigned n_peers;
        Respond *respond; /* NULL: the script */
        char *script[SCRIPT_MAX];
        unsigned n_script;
        StringList requests;
} ScriptedServer;

typedef struct ScriptedPeer {
        ScriptedServer *server;
        int fd;
        SSL *ssl;
} ScriptedPeer;

/* "404 Not Found", "Etag: \"x\"\r\n" or "", a body. */
static inline char *make_reply(const char *status, const char *headers, const char *body)
{
        char *s = string_format("HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers,
                                strlen(body), body);
        if (!s) {
                abort();
        }
        return s;
}

static inline void server_reset(ScriptedServer *server, Respond *respond)
{
        (void) pthread_mutex_lock(&server->mutex);
        for (unsigned i = 0; i < server->n_script; i++) {
                free(server->script[i]);
        }
        server->n_script = 0;
        server->respond = respond;
        string_list_done(&server->requests);
        (void) pthread_mutex_unlock(&server->mutex);
}

/* Adds one answer; the last one is repeated. */
static inline void server_script(ScriptedServer *server, const char *status, const char *headers,
                                 const char *body)
{
        if (server->n_script == SCRIPT_MAX) {
                abort();
        }
        server->script[server->n_script++] = make_reply(status, headers, body);
}

static inline unsigned server_count(ScriptedServer *server)
{
        (void) pthread_mutex_lock(&server->mutex);
        unsigned n = (unsigned) server->requests.n;
        (void) pthread_mutex_unlock(&server->mutex);
        return n;
}

/* The n-th request, head and body; "" if there was none. */
static inline const char *server_request(ScriptedServer *server, unsigned n)
{
        return n < server_count(server) ? server->requests.items[n] : "";
}

static inline bool peer_hear(ScriptedPeer *peer, Buffer *request)
{
        for (size_t want = SIZE_MAX; request->size < want;) {
                char part[4096];
                ssize_t n = peer->ssl ? SSL_read(peer->ssl, part, sizeof(part))
                                      : recv(peer->fd, part, sizeof(part), 0);
                if (n <= 0 || buffer_append(request, part, (size_t) n) < 0) {
                        return false;
                }
                const char *end = strstr(request->data, "\r\n\r\n");
                if (end && want == SIZE_MAX) {
                        const char *length = strstr(request->data, "Content-Length: ");
                        want = (size_t) (end + 4 - request->data) +
                               (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
                }
        }
        return true;
}

static inline bool peer_answer(ScriptedPeer *peer, const char *request)
{
        ScriptedServer *server = peer->server;
        (void) pthread_mutex_lock(&server->mutex);
        unsigned number = (unsigned) server->requests.n;
        if (string_list_append(&server->requests, request) < 0) {
                abort();
        }
        unsigned last = server->n_script ? server->n_script - 1 : 0;
        char *reply = server->respond    ? server->respond(request, number)
                      : server->n_script ? strdup(server->script[number < last ? number : last])
                                         : NULL;
        (void) pthread_mutex_unlock(&server->mutex);
        size_t n = reply ? strlen(reply) : 0;
        if (n > 0 && peer->ssl) {
                (void) SSL_write(peer->ssl, reply, (int) n); /* the client may be gone: its right */
        } else if (n > 0) {
                (void) send(peer->fd, reply, n, MSG_NOSIGNAL);
        }
        bool more = reply != NULL;
        free(reply);
        return more;
}

static inline void *peer_main(void *userdata)
{
        ScriptedPeer *peer = userdata;
        if (!peer->ssl || SSL_accept(peer->ssl) == 1) {
                for (bool more = true; more;) {
                        _cleanup_buffer_ Buffer request = {};
                        more = peer_hear(peer, &request) && peer_answer(peer, request.data);
                }
        }
        SSL_free(peer->ssl);
        OPENSSL_thread_stop(); /* what it keeps for this thread looks like a leak at the end */
        (void) close(peer->fd);
        ScriptedServer *server = peer->server;
        free(peer);
        (void) pthread_mutex_lock(&server->mutex);
        server->n_peers--;
        (void) pthread_cond_signal(&server->peer_ended);
        (void) pthread_mutex_unlock(&server->mutex);
        return NULL;
}

static inline void *server_main(void *userdata)
{
        ScriptedServer *server = userdata;
        for (;;) {
                ScriptedPeer *peer = calloc(1, sizeof(*peer));
                pthread_t thread;
                if (!peer) {
                        abort();
                }
                peer->server = server;
                peer->fd = accept(server->fd, NULL, NULL);
                if (peer->fd < 0 && errno == EINVAL) { /* server_stop() */
                        free(peer);
                        return NULL;
                }
                if (server->tls) {
                        peer->ssl = SSL_new(server->tls);
                        (void) SSL_set_fd(peer->ssl, peer->fd);
                }
                (void) pthread_mutex_lock(&server->mutex);
                server->n_peers++;
                (void) pthread_mutex_unlock(&server->mutex);
                if (peer->fd < 0 || pthread_create(&thread, NULL, peer_main, peer) != 0) {
                        abort();
                }
                (void) pthread_detach(thread);
        }
        return NULL;
}

static inline void server_start(ScriptedServer *server)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (pthread_mutex_init(&server->mutex, NULL) != 0 ||
            pthread_cond_init(&server->peer_ended, NULL) != 0 ||
            bind(server->fd, (struct sockaddr *) &address, size) < 0 ||
            listen(server->fd, 64) < 0 ||
            getsockname(server->fd, (struct sockaddr *) &address, &size) < 0 ||
            pthread_create(&server->thread, NULL, server_main, server) != 0) {
                perror("server");
                exit(EXIT_FAILURE);
        }
        server->port = ntohs(address.sin_port);
}

/* Ends a server, once its clients have closed their connections; its context may be freed then. */
static inline void server_stop(ScriptedServer *server)
{
        (void) shutdown(server->fd, SHUT_RDWR); /* wakes accept(2) */
        (void) pthread_join(server->thread, NULL);
        (void) close(server->fd);
        (void) pthread_mutex_lock(&server->mutex);
        while (server->n_peers > 0) {
                (void) pthread_cond_wait(&server->peer_ended, &server->mutex);
        }
        (void) pthread_mutex_unlock(&server->mutex);
}

/* Gives the server a certificate of its own for 127.0.0.1, and writes it to ca_path. */
static inline void server_use_tls(ScriptedServer *server, const char *ca_path)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *x = X509_new();
        X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
        FILE *file = fopen(ca_path, "we");
        (void) X509_set_version(x, X509_VERSION_3);
        (void) ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        (void) X509_gmtime_adj(X509_getm_notBefore(x), -60);
        (void) X509_gmtime_adj(X509_getm_notAfter(x), 3600);
        (void) X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                          (const unsigned char *) "test", -1, -1, 0);
        (void) X509_set_issuer_name(x, X509_get_subject_name(x));
        (void) X509_set_pubkey(x, key);
        server->tls = SSL_CTX_new(TLS_server_method());
        if (!san || !X509_add_ext(x, san, -1) || !X509_sign(x, key, EVP_sha256()) || !file ||
            PEM_write_X509(file, x) != 1 || fclose(file) != 0 ||
            SSL_CTX_use_certificate(server->tls, x) != 1 ||
            SSL_CTX_use_PrivateKey(server->tls, key) != 1) {
                abort();
        }
        X509_EXTENSION_free(san);
        X509_free(x);
        EVP_PKEY_free(key);
}
