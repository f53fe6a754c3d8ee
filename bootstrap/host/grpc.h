/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

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

/* Returns the class and the errno of a gRPC code that is not GRPC_OK, from the only table of them.
 * A code that the table does not have says that the request is wrong: ERROR_FATAL, EINVAL. */
ErrorClass grpc_class_from_code(int code, int *ret_errno);
