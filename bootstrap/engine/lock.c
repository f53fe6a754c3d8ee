/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/string.h"

static int read_holder(int fd)
{
        char text[16];
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
        if (n <= 0) {
                return 0;
        }
        text[n] = '\0';
        uint64_t pid = 0;
        return string_parse_u64(string_strip_end(text), INT32_MAX, &pid) < 0 ? 0 : (int) pid;
}

int lock_try(const char *path, Lock *lock, int *ret_holder, Error *err)
{
        /* for root alone: a process that can open the file, even only to read, can lock it, and
         * would hold up every boot */
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
                return error_errno(err, errno, "open %s", path);
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK) {
                        return error_errno(err, errno, "lock %s", path);
                }
                *ret_holder = read_holder(fd);
                return 0;
        }
        char text[16];
        int n = snprintf(text, sizeof(text), "%d\n", (int) getpid());
        /* Clears the file first, because a holder that was killed left its pid there. The pid is
         * only for people, so it may be missing, as when /run is full. */
        (void) ftruncate(fd, 0);
        (void) pwrite(fd, text, (size_t) n, 0);
        lock->fd = TAKE_FD(fd);
        return 1;
}

void lock_release(Lock *lock)
{
        if (lock->fd >= 0) {
                (void) ftruncate(lock->fd, 0); /* the pid is for people; close() unlocks */
        }
        close_fdp(&lock->fd);
        lock->fd = -EBADF;
}
