/* SPDX-License-Identifier: Apache-2.0 */
#include "scripted_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificate_maker.h"
#include "wire.h"

typedef struct ScriptedPeer {
        ScriptedServer *server;
        int fd;
        SSL *ssl;
} ScriptedPeer;

char *make_reply(const char *status, const char *headers, const char *body)
{
        char *s = string_format("HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers,
                                strlen(body), body);
        if (!s) {
                abort();
        }
        return s;
}

void server_reset(ScriptedServer *server, Respond *respond)
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

void server_script(ScriptedServer *server, const char *status, const char *headers,
                   const char *body)
{
        if (server->n_script == SCRIPT_MAX) {
                abort();
        }
        server->script[server->n_script++] = make_reply(status, headers, body);
}

unsigned server_count(ScriptedServer *server)
{
        (void) pthread_mutex_lock(&server->mutex);
        unsigned n = (unsigned) server->requests.n;
        (void) pthread_mutex_unlock(&server->mutex);
        return n;
}

const char *server_request(ScriptedServer *server, unsigned n)
{
        return n < server_count(server) ? server->requests.items[n] : "";
}

static bool peer_answer(ScriptedPeer *peer, const char *request)
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
        bool more = reply != NULL;
        if (reply) {
                wire_send(peer->fd, peer->ssl, reply);
        }
        free(reply);
        return more;
}

static void *peer_main(void *userdata)
{
        ScriptedPeer *peer = userdata;
        if (!peer->ssl || SSL_accept(peer->ssl) == 1) {
                for (bool more = true; more;) {
                        _cleanup_buffer_ Buffer request = {};
                        more = wire_receive(peer->fd, peer->ssl, &request) &&
                               peer_answer(peer, request.data);
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

static void *server_main(void *userdata)
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

void server_start(ScriptedServer *server)
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

void server_stop(ScriptedServer *server)
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

void server_use_tls(ScriptedServer *server, const char *ca_path)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *certificate = make_certificate("test", "IP:127.0.0.1", key, NULL, NULL);
        FILE *file = fopen(ca_path, "we");
        if (!file || PEM_write_X509(file, certificate) != 1 || fclose(file) != 0) {
                abort();
        }
        server->tls = make_context(certificate, key, certificate);
        X509_free(certificate);
        EVP_PKEY_free(key);
}
