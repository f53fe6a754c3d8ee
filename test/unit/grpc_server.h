/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A server of HTTP/2 on a unix socket that speaks as a gRPC service does. It does not look at what
 * it is asked: each connection has one request, and gets the next reply of the script. */

#include <pthread.h>
#include <stdint.h>

#include "harness.h"

typedef struct GrpcReply {
        const char *code;    /* grpc-status; NULL: none */
        const char *reason;  /* grpc-message; NULL: none */
        const void *message; /* with its prefix; NULL: the code is in the only head there is */
        size_t size;
        uint32_t reset; /* not 0: the stream is reset with this error, in place of the code */
        bool cut;       /* the connection ends after the message */
} GrpcReply;

#define GRPC_SCRIPT_MAX 8

typedef struct GrpcServer {
        int fd;
        pthread_t thread;
        const GrpcReply *script;
        size_t n_script;
        Buffer requests[GRPC_SCRIPT_MAX]; /* bodies, with their prefix */
        size_t n_requests;
} GrpcServer;

void grpc_server_start(GrpcServer *server, const char *path, const GrpcReply *script, size_t n);

/* Ends the server. Its clients have closed their connections. */
void grpc_server_stop(GrpcServer *server);
