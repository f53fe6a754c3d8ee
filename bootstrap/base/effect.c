/* SPDX-License-Identifier: Apache-2.0 */
#include "base/effect.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

#ifdef EFFECT_POINTS
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Returns true if the process is to stop at this effect. `spec` is "N:TEXT", the N-th effect whose
 * "kind what" begins with TEXT. */
static bool is_chosen(const char *spec, unsigned number, const char *kind, const char *what)
{
        char name[512], *begin;
        unsigned long nth = strtoul(spec, &begin, 10);
        if (*begin++ != ':') {
                abort(); /* a test with a wrong spec would prove nothing */
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

static unsigned effect_number(void)
{
        return atomic_fetch_add(&last_number, 1) + 1;
}

static void effect_point(const Effect *effect, const char *when)
{
        effect_log(effect->number, when, effect->kind, effect->what);
        effect_kill(effect->number, when, effect->kind, effect->what);
}
#else
static unsigned effect_number(void)
{
        return 0;
}

static void effect_point(const Effect *effect, const char *when)
{
        (void) effect;
        (void) when;
}
#endif

static uint64_t now_us(void)
{
        struct timespec now;
        (void) clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for a clock that exists */
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

Effect effect_before(const char *kind, const char *what)
{
        Effect effect = { .kind = kind, .what = what, .number = effect_number() };
        effect_point(&effect, "before");
        effect.began_us = log_has_debug() ? now_us() : 0;
        return effect;
}

void effect_after(const Effect *effect, int r, const char *result)
{
        if (effect->began_us) {
                uint64_t us = now_us() - effect->began_us;
                char text[64];
                if (!result) {
                        result = r < 0 ? strerror_r(-r, text, sizeof(text)) : "done";
                }
                log_debug("%s %s: %s, %" PRIu64 ".%03u ms", effect->kind, effect->what, result,
                          us / 1000, (unsigned) (us % 1000));
        }
        effect_point(effect, "after");
}
