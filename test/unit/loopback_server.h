/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A server on loopback and certificates for it, for tests of HTTP and of what is said over it. */

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "harness.h"

typedef struct Connection Connection;

/* What a server answers to a request whose path begins with `path`. */
typedef struct Answer {
        const char *path;
        const char *reply;                               /* whole, with its head */
        bool close;                                      /* end the connection after it */
        void (*say)(Connection *c, const char *request); /* not NULL: in place of `reply` */
} Answer;

/* A thread per connection, answers by path, connections counted. */
typedef struct Server {
        const Answer *answers; /* the first that fits is taken; the last has no path. Else: 404 */
        int fd;
        int port;
        SSL_CTX *tls; /* NULL: plain */
        atomic_int connections;
        pthread_t thread; /* accepts connections */
} Server;

/* Ends a server: it accepts no more connections, and no longer uses its context. */
void loopback_stop(Server *server);

/* Waits until all connections have ended. Their clients must have closed them, and their servers
 * must have been stopped. */
void connections_join(void);

void loopback_start_tcp(Server *server);

void loopback_start_unix(Server *server, const char *path);

/* Sends text as it is; a reply with status 200 and this body; returns the connection's TLS, NULL
 * where there is none. For Answer.say. */
void loopback_say(Connection *c, const char *text);
void loopback_say_body(Connection *c, const char *text);
SSL *loopback_tls(Connection *c);
