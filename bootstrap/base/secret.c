/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/random.h"

int secret_random_hex(size_t n_bytes, Secret *ret, Error *err)
{
        unsigned char bytes[64];
        char hex[2 * sizeof(bytes) + 1];
        if (n_bytes > sizeof(bytes)) {
                return error_set(err, ERROR_FATAL, EINVAL, "secret of %zu bytes", n_bytes);
        }
        int r = random_bytes(bytes, n_bytes, err);
        if (r < 0) {
                return r;
        }
        string_hex(bytes, n_bytes, hex);
        r = buffer_append(ret, hex, 2 * n_bytes);
        explicit_bzero(bytes, sizeof(bytes));
        explicit_bzero(hex, sizeof(hex));
        return r < 0 ? error_oom(err) : 0;
}

int secret_protect_process(Error *err)
{
        const struct rlimit none = { 0, 0 };
        if (setrlimit(RLIMIT_CORE, &none) < 0) {
                return error_errno(err, errno, "forbid core files");
        }
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
                return error_errno(err, errno, "make the process undumpable");
        }
        return 0;
}
