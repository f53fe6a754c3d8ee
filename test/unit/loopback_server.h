/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A server on loopback and certificates for it, for tests of HTTP and of what is said over it. */

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "harness.h"

/* A thread per connection, answers by path, connections counted. */
typedef struct Server {
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
