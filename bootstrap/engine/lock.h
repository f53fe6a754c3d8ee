/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "base/wait.h"

/* One run at a time: flock(2) on a file that also tells who holds it. The kernel lets go of it when
 * the holder dies, however it dies. */
typedef struct Lock {
        int fd;
} Lock;

#define LOCK_INIT ((Lock) { .fd = -EBADF })

/* 1 taken; 0 held by another, *ret_holder is its pid (0: it has not written it yet, or could not).
 * The folder must exist. */
int lock_try(const char *path, Lock *lock, int *ret_holder, Error *err);
void lock_release(Lock *lock);
#define _cleanup_lock_ _cleanup_(lock_release)
