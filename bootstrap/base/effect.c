/* SPDX-License-Identifier: Apache-2.0 */
#include "base/effect.h"

#ifdef EFFECT_POINTS
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/string.h"

static atomic_uint last_number, n_named, chosen;

static void effect_log(unsigned number, const char *when, const char *kind, const char *what)
{
        const char *log = getenv("KUBE_BOOTSTRAP_EFFECTS_LOG");
        if (!log) {
                return;
        }
        char line[512];
        int n = snprintf(line, sizeof(line), "%u:%s %s %.400s\n", number, when, kind, what);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || n < 0 || write(fd, line, strlen(line)) < 0) {
                abort(); /* a test without its log would prove nothing */
        }
        (void) close(fd);
}

/* Whether the effect is the one to stop at: the N-th whose "kind what" begins so. */
static bool is_chosen(const char *spec, unsigned number, const char *kind, const char *what)
{
        char name[512], *begin;
        unsigned long nth = strtoul(spec, &begin, 10);
        if (*begin++ != ':') {
                abort(); /* see above */
        }
        (void) snprintf(name, sizeof(name), "%s %s", kind, what);
        if (strncmp(name, begin, strlen(begin)) != 0 || atomic_fetch_add(&n_named, 1) + 1 != nth) {
                return false;
        }
        atomic_store(&chosen, number);
        return true;
}

static void effect_kill(unsigned number, const char *when, const char *kind, const char *what)
{
        const char *spec = getenv("KUBE_BOOTSTRAP_EFFECTS_KILL");
        if (!spec) {
                return;
        }
        const char *colon = strchr(spec, ':');
        if (!colon) {
                abort();
        }
        bool before = streq(when, "before");
        bool hit =
                before ? is_chosen(colon + 1, number, kind, what) : atomic_load(&chosen) == number;
        if (hit && strncmp(spec, when, (size_t) (colon - spec)) == 0) {
                (void) kill(getpid(), SIGKILL);
        }
}

static void effect_point(unsigned number, const char *when, const char *kind, const char *what)
{
        effect_log(number, when, kind, what);
        effect_kill(number, when, kind, what);
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
