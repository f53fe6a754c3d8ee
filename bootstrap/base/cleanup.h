/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A variable that owns something is declared with one of these attributes, and gets a value at once
 * (NULL, -EBADF). On success the function hands the value over with TAKE() or TAKE_FD(). The idea
 * is from systemd's cleanup-util.h. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define TAKE_GENERIC(var, empty)             \
        ({                                   \
                __auto_type _taken_ = (var); \
                (var) = (empty);             \
                _taken_;                     \
        })
#define TAKE(pointer) TAKE_GENERIC(pointer, NULL)
#define TAKE_FD(fd)   TAKE_GENERIC(fd, -EBADF)

/* Defines the cleanup function of a type: DEFINE_CLEANUP(DIR *, closedir) makes closedirp(). */
#define DEFINE_CLEANUP(type, function)          \
        static inline void function##p(type *p) \
        {                                       \
                if (*p) {                       \
                        function(*p);           \
                }                               \
        }                                       \
        struct cleanup_semicolon_

static inline void freep(void *p)
{
        free(*(void **) p);
}

/* close() reports nothing that a reader could act on; writers fsync before they close. */
static inline void close_fdp(int *fd)
{
        if (*fd >= 0) {
                int saved = errno;
                (void) close(*fd);
                errno = saved;
        }
}

DEFINE_CLEANUP(FILE *, fclose);

#define _cleanup_free_   _cleanup_(freep)
#define _cleanup_close_  _cleanup_(close_fdp)
#define _cleanup_fclose_ _cleanup_(fclosep)
