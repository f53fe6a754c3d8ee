/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An HTTP server on loopback, plain or with TLS, whose answers a test writes: in order, or by a
 * function of the request. What it was asked is kept. */

#include <openssl/ssl.h>
#include <pthread.h>

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

/* "404 Not Found", "Etag: \"x\"\r\n" or "", a body. */
char *make_reply(const char *status, const char *headers, const char *body);

void server_reset(ScriptedServer *server, Respond *respond);

/* Adds one answer; the last one is repeated. */
void server_script(ScriptedServer *server, const char *status, const char *headers,
                   const char *body);

unsigned server_count(ScriptedServer *server);

/* The n-th request, head and body; "" if there was none. */
const char *server_request(ScriptedServer *server, unsigned n);

void server_start(ScriptedServer *server);

/* Ends a server, once its clients have closed their connections; its context may be freed then. */
void server_stop(ScriptedServer *server);

/* Gives the server a certificate of its own for 127.0.0.1, and writes it to ca_path. */
void server_use_tls(ScriptedServer *server, const char *ca_path);
