/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/watch.h"

#include <stdlib.h>
#include <sys/inotify.h>

#include "base/log.h"
#include "host/unit_watch.h"
#include "steps/services/service.h"

struct StepWatch {
        UnitWatch *units;
        int secrets_fd; /* of inotify */
};

StepWatch *step_watch_new(void)
{
        StepWatch *watch = calloc(1, sizeof(*watch));
        if (watch) {
                watch->secrets_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        }
        return watch;
}

void step_watch_free(StepWatch *watch)
{
        unit_watch_freep(&watch->units);
        close_fdp(&watch->secrets_fd);
        free(watch);
}

/* Opens the watch of units if there is none. Returns 1 if it opened one, else 0. */
static int open_units(StepWatch *watch)
{
        static const char *names[SERVICES_MAX];
        if (watch->units) {
                return 0;
        }
        for (size_t i = 0; i < SERVICES_MAX; i++) {
                names[i] = services[i].unit;
        }
        Error error = {};
        int r = unit_watch_open(names, SERVICES_MAX, &watch->units, &error);
        if (r < 0) {
                log_debug("changes of units are not received: %s", error.message);
        }
        return r >= 0;
}

void step_watch_poll(StepWatch *watch, struct pollfd ret[STEP_WATCH_FDS])
{
        /* at each call, because the tmpfs may have been mounted again */
        (void) inotify_add_watch(watch->secrets_fd, SECRETS_DIR,
                                 IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE |
                                         IN_DELETE_SELF | IN_UNMOUNT);
        (void) open_units(watch);
        ret[0] = (struct pollfd) { .fd = watch->secrets_fd, .events = POLLIN };
        ret[1] = watch->units ? unit_watch_poll(watch->units) : (struct pollfd) { .fd = -1 };
}

/* Returns the mask of the units that changed; all of them if the watch had to be opened again, as
 * it may have missed changes. */
static uint64_t take_units(StepWatch *watch)
{
        uint64_t changed = 0;
        Error error = {};
        if (watch->units && unit_watch_take(watch->units, &changed, &error) < 0) {
                log_debug("changes of units are not received: %s", error.message);
                unit_watch_free(TAKE(watch->units));
                changed = open_units(watch) ? UINT64_MAX : 0;
        }
        return changed;
}

uint64_t step_watch_take(StepWatch *watch)
{
        char events[4096];
        uint64_t mask = 0, changed = take_units(watch);
        while (read(watch->secrets_fd, events, sizeof(events)) > 0) {
                mask = STEP_MASK(BOOT_SECRETS); /* the probe looks at each file */
        }
        for (size_t i = 0; i < SERVICES_MAX; i++) {
                mask |= changed & (UINT64_C(1) << i) ? services[i].steps : 0;
        }
        return mask;
}
