/* SPDX-License-Identifier: Apache-2.0 */

/* Which allocation of torture.h fails: the first whose stack is TORTURE_FAIL. It, or without it
 * each one, is told to the file TORTURE_LOG as "PLACE STACK": calls with the same stack are the
 * same failure. How many come before it differs from run to run, as tests poll. */

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

extern const char __executable_start, etext; /* the linker's */

static atomic_bool *failed; /* shared with forked children, which run parts of some tests */
static uint64_t fail_at;
static int log_fd = -EBADF;

static __attribute__((constructor)) void torture_start(void)
{
        const char *stack = getenv("TORTURE_FAIL"), *path = getenv("TORTURE_LOG");
        fail_at = stack ? strtoull(stack, NULL, 16) : 0;
        log_fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -EBADF;
        failed = mmap(NULL, sizeof(*failed), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        if (failed == MAP_FAILED || (path && log_fd < 0)) {
                perror("torture");
                abort();
        }
}

/* The same in each run: where the program is loaded does not count, nor do libraries' frames. */
static uint64_t stack_hash(void)
{
        void *frames[8];
        int n = backtrace(frames, 8);
        uint64_t hash = 0xcbf29ce484222325; /* FNV-1a, a frame at a time */
        for (int i = 0; i < n; i++) {
                const char *frame = frames[i];
                if (frame >= &__executable_start && frame < &etext) {
                        hash = (hash ^ (uint64_t) (frame - &__executable_start)) * 0x100000001b3;
                }
        }
        return hash;
}

bool torture_fails(const char *file, int line)
{
        int saved = errno;
        uint64_t stack = stack_hash();
        bool fails = fail_at != 0 && stack == fail_at && !atomic_exchange(failed, true);
        if (log_fd >= 0 && (fail_at == 0 || fails)) {
                (void) dprintf(log_fd, "%s:%d %" PRIx64 "\n", file, line, stack);
        }
        errno = fails ? ENOMEM : saved;
        return fails;
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
