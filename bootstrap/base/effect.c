/* SPDX-License-Identifier: Apache-2.0 */
#include "base/effect.h"

#ifdef EFFECT_POINTS
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_uint last_number;

static void effect_point(unsigned number, const char *when, const char *kind, const char *what)
{
        const char *log = getenv("KUBE_BOOTSTRAP_EFFECTS_LOG");
        if (log) {
                char line[512];
                int n = snprintf(line, sizeof(line), "%u:%s %s %.400s\n", number, when, kind, what);
                int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
                if (fd < 0 || n < 0 || write(fd, line, strlen(line)) < 0) {
                        abort(); /* a test without its log would prove nothing */
                }
                (void) close(fd);
        }
        const char *stop_at = getenv("KUBE_BOOTSTRAP_EFFECTS_KILL");
        char here[32];
        (void) snprintf(here, sizeof(here), "%u:%s", number, when);
        if (stop_at && strcmp(stop_at, here) == 0) {
                (void) kill(getpid(), SIGKILL);
        }
}

unsigned effect_before(const char *kind, const char *what)
{
        unsigned number = atomic_fetch_add(&last_number, 1) + 1;
        effect_point(number, "before", kind, what);
        return number;
}

void effect_after(unsigned number, const char *kind, const char *what)
{
        effect_point(number, "after", kind, what);
}
#endif
