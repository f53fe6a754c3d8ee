/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "base/wait.h"

/* The lock that allows one run at a time: flock(2) on a file. The file also has the pid of the
 * holder. The kernel releases the lock when the holder dies, however it dies. */
typedef struct Lock {
        int fd;
} Lock;

#define LOCK_INIT ((Lock) { .fd = -EBADF })

/* Returns 1 if the lock was taken, 0 if another process holds it: *ret_holder is then its pid (0:
 * the holder has not written it yet, or could not). The folder must exist. */
int lock_try(const char *path, Lock *lock, int *ret_holder, Error *err);
void lock_release(Lock *lock);
#define _cleanup_lock_ _cleanup_(lock_release)
