/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

int random_bytes(void *ret, size_t n, Error *err)
{
        if (getrandom(ret, n, 0) != (ssize_t) n) { /* up to 256 bytes are never cut short */
                return error_set(err, ERROR_RETRY, EIO, "the kernel gave no random bytes");
        }
        return 0;
}
