/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A client of gRPC services on a unix socket: one message to the service, one back. It is HTTP/2
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), which libcurl speaks. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/string.h"
#include "base/wait.h"
#include "host/http.h"

/* https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
typedef enum GrpcCode {
        GRPC_OK = 0,
        GRPC_CANCELLED = 1,
        GRPC_UNKNOWN = 2,
        GRPC_DEADLINE_EXCEEDED = 4,
        GRPC_PERMISSION_DENIED = 7,
        GRPC_RESOURCE_EXHAUSTED = 8,
        GRPC_ABORTED = 10,
        GRPC_UNIMPLEMENTED = 12,
        GRPC_INTERNAL = 13,
        GRPC_UNAVAILABLE = 14,
        GRPC_UNAUTHENTICATED = 16,
        _GRPC_CODE_MAX,
} GrpcCode;

#define GRPC_TEXT_MAX 256

/* Returns the class and the errno of a gRPC code that is not GRPC_OK, from the only table of them.
 * A code that the table does not have says that the request is wrong: ERROR_FATAL, EINVAL. */
ErrorClass grpc_class_from_code(int code, int *ret_errno);

typedef struct GrpcCall {
        const char *socket;
        const char *method;    /* PACKAGE.SERVICE/METHOD, as the .proto file names them */
        const Buffer *message; /* the request */
        uint64_t timeout_ms;
        size_t reply_max; /* bytes of the reply's message */
} GrpcCall;

/* The answer of the service: a message, or a code that is not GRPC_OK and the reason in its words,
 * without control characters; it may be cut. A message may hold a secret, so it is wiped. */
typedef struct GrpcAnswer {
        int code;
        char text[GRPC_TEXT_MAX];
        Buffer message;
} GrpcAnswer;

void grpc_answer_done(GrpcAnswer *answer);
#define _cleanup_grpc_answer_ _cleanup_(grpc_answer_done)

/* Calls a method. Returns 0 once there is an answer, success or failure. Fails as
 * http_exchange() does, and with -EBADMSG (ERROR_RETRY) if the reply is not gRPC's. *ret is
 * untouched on failure. The caller ends it with grpc_answer_done(). */
int grpc_call(const GrpcCall *call, const Wait *wait, GrpcAnswer *ret, Error *err);

/* Reads a reply: what grpc_call() does with what it has received. A reply without a gRPC code has
 * the code that follows from its HTTP status
 * (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md). */
int grpc_read_reply(const HttpReply *reply, GrpcAnswer *ret, Error *err);

/* Copies text that came from outside: at most size - 1 bytes of it, with a blank in place of each
 * control character. */
void grpc_copy_text(const char *data, size_t n, char *ret, size_t size);
