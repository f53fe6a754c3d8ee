/* SPDX-License-Identifier: Apache-2.0 */

/* Which allocation of torture.h fails: TORTURE_FAIL_AT, counted from 1. It, or without it each one,
 * is told to the file TORTURE_LOG as "NUMBER PLACE STACK": calls with the same stack are the same
 * failure. */

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "torture.h"

static atomic_ulong *count; /* shared with forked children, which run parts of some tests */
static unsigned long fail_at;
static int log_fd = -EBADF;

static __attribute__((constructor)) void torture_start(void)
{
        const char *number = getenv("TORTURE_FAIL_AT"), *path = getenv("TORTURE_LOG");
        fail_at = number ? strtoul(number, NULL, 10) : 0;
        log_fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -EBADF;
        count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                     0);
        if (count == MAP_FAILED || (path && log_fd < 0)) {
                perror("torture");
                abort();
        }
}

static uint64_t stack_hash(void)
{
        void *frames[8];
        int n = backtrace(frames, 8);
        uint64_t hash = 0xcbf29ce484222325; /* FNV-1a, a frame at a time */
        for (int i = 0; i < n; i++) {
                hash = (hash ^ (uintptr_t) frames[i]) * 0x100000001b3;
        }
        return hash;
}

bool torture_fails(const char *file, int line)
{
        int saved = errno;
        unsigned long number = atomic_fetch_add(count, 1) + 1;
        if (log_fd >= 0 && (fail_at == 0 || number == fail_at)) {
                (void) dprintf(log_fd, "%lu %s:%d %" PRIx64 "\n", number, file, line, stack_hash());
        }
        errno = number == fail_at ? ENOMEM : saved;
        return number == fail_at;
}

void torture_give_up(void)
{
        _exit(EXIT_FAILURE);
}

json_t *torture_json_drop(json_t *json)
{
        json_decref(json);
        errno = ENOMEM;
        return NULL;
}

json_t *torture_json_unread(json_error_t *error)
{
        if (error) {
                *error = (json_error_t) { .line = -1, .column = -1, .source = "<buffer>" };
        }
        return NULL;
}
