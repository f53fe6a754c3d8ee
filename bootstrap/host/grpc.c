/* SPDX-License-Identifier: Apache-2.0 */
#include "host/grpc.h"

#include <errno.h>

#include "base/string.h"

static const struct {
        int code;
        ErrorClass class;
        int error;
} grpc_classes[] = {
        { GRPC_CANCELLED, ERROR_RETRY, EIO }, /* by a service that ends */
        { GRPC_UNKNOWN, ERROR_RETRY, EIO },
        { GRPC_DEADLINE_EXCEEDED, ERROR_RETRY, ETIMEDOUT },
        { GRPC_PERMISSION_DENIED, ERROR_DENIED, EACCES },
        { GRPC_RESOURCE_EXHAUSTED, ERROR_RETRY, ENOSPC },
        { GRPC_ABORTED, ERROR_RETRY, EAGAIN },
        { GRPC_UNIMPLEMENTED, ERROR_CONFIG, EOPNOTSUPP }, /* also what etcd's gateway refuses */
        { GRPC_INTERNAL, ERROR_RETRY, EIO },
        { GRPC_UNAVAILABLE, ERROR_RETRY, EAGAIN },
        { GRPC_UNAUTHENTICATED, ERROR_DENIED, EACCES },
};

ErrorClass grpc_class_from_code(int code, int *ret_errno)
{
        FOREACH_ARRAY(row, grpc_classes, ELEMENTS(grpc_classes)) {
                if (row->code == code) {
                        *ret_errno = row->error;
                        return row->class;
                }
        }
        *ret_errno = EINVAL;
        return ERROR_FATAL;
}
