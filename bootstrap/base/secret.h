/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/string.h"

/* Bytes that must not outlive their use: wiped when released, never formatted into a message. */
typedef Buffer Secret;

#define SECRET_INIT      ((Secret) { .wipe = true, .max = (size_t) 1 << 20 })
#define _cleanup_secret_ _cleanup_(buffer_done)

/* Appends n_bytes from the kernel's generator to *ret, as lower-case hexadecimal (so 2 * n_bytes
 * characters). Returns 0, or -ENOMEM/-EIO (ERROR_RETRY). *ret must be SECRET_INIT. */
int secret_random_hex(size_t n_bytes, Secret *ret, Error *err);

/* Forbids dumps and traces of this process's memory (prctl(2) PR_SET_DUMPABLE, RLIMIT_CORE 0). */
int secret_protect_process(Error *err);
