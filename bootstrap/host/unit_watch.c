/* SPDX-License-Identifier: Apache-2.0 */
#include "host/unit_watch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/string.h"
#include "host/unit_bus.h"

#define UNITS_MAX 64

/* The longest wait for a reply of the system bus. The private socket needs no request. */
#define SUBSCRIBE_MS 5000

typedef struct Ear {
        UnitWatch *watch;
        uint64_t bit;
        char state[32]; /* ActiveState and SubState as they were heard last */
} Ear;

struct UnitWatch {
        sd_bus *bus;
        uint64_t changed;
        Ear ears[UNITS_MAX];
};

/* Reads a property of the signal if it is one of the two below; skips any other. */
static int unit_watch_read_property(sd_bus_message *message, const char **ret_active,
                                    const char **ret_sub)
{
        const char *name = NULL;
        int r = sd_bus_message_read(message, "s", &name);
        if (r < 0) {
                return r;
        }
        if (streq(name, "ActiveState")) {
                return sd_bus_message_read(message, "v", "s", ret_active);
        }
        if (streq(name, "SubState")) {
                return sd_bus_message_read(message, "v", "s", ret_sub);
        }
        return sd_bus_message_skip(message, "v");
}

/* Reads ActiveState and SubState from a PropertiesChanged signal. A state that the signal does not
 * have is left as it was. */
static int read_states(sd_bus_message *message, const char **ret_active, const char **ret_sub)
{
        const char *interface = NULL;
        int r = sd_bus_message_read(message, "s", &interface);
        if (r < 0 || !streq(interface, MANAGER_NAME ".Unit")) {
                return r < 0 ? r : 0;
        }
        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0) {
                return r;
        }
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = unit_watch_read_property(message, ret_active, ret_sub);
                if (r < 0) {
                        return r;
                }
                r = sd_bus_message_exit_container(message);
                if (r < 0) {
                        return r;
                }
        }
        return r;
}

/* Returns true if the unit is not between two states. A unit in transition is not reported: to
 * restart a unit that an administrator is restarting would cancel the administrator's job. */
static bool is_settled(const char *active, const char *sub)
{
        return streq(active, "active") || streq(active, "inactive") || streq(active, "failed") ||
               streq(sub, "auto-restart");
}

static int unit_watch_on_change(sd_bus_message *message, void *userdata, sd_bus_error *e)
{
        (void) e;
        Ear *ear = userdata;
        const char *active = NULL, *sub = NULL;
        char state[sizeof(ear->state)];
        int r = read_states(message, &active, &sub);
        if (r < 0 || !active || !sub) {
                return r < 0 ? r : 0;
        }
        (void) snprintf(state, sizeof(state), "%s %s", active, sub);
        if (!streq(state, ear->state) && is_settled(active, sub)) {
                ear->watch->changed |= ear->bit;
        }
        memcpy(ear->state, state, sizeof(state));
        return 0;
}

static int listen_to(UnitWatch *watch, size_t i, const char *name, const Wait *wait, Error *err)
{
        _cleanup_free_ char *path = NULL;
        watch->ears[i] = (Ear) { .watch = watch, .bit = UINT64_C(1) << i };
        int r = sd_bus_path_encode(MANAGER_PATH "/unit", name, &path);
        if (r < 0) {
                return error_errno(err, r, "path of %s", name);
        }
        return unit_bus_subscribe(watch->bus, path, PROPERTIES, "PropertiesChanged",
                                  unit_watch_on_change, &watch->ears[i], wait, err);
}

int unit_watch_open(const char *const *names, size_t n, UnitWatch **ret, Error *err)
{
        const Wait forever = { .deadline_ms = UINT64_MAX, .stop_fd = -1 };
        const Wait wait = wait_part(&forever, SUBSCRIBE_MS);
        _cleanup_(unit_watch_freep) UnitWatch *watch = calloc(1, sizeof(*watch));
        if (!watch || n > UNITS_MAX) {
                return error_oom(err);
        }
        int r = unit_bus_open(&watch->bus, err);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = listen_to(watch, i, names[i], &wait, err);
        }
        if (r >= 0) {
                *ret = TAKE(watch);
        }
        return r < 0 ? r : 0;
}

void unit_watch_free(UnitWatch *watch)
{
        sd_bus_close_unref(watch->bus);
        free(watch);
}

struct pollfd unit_watch_poll(const UnitWatch *watch)
{
        int events = sd_bus_get_events(watch->bus);
        return (struct pollfd) { .fd = sd_bus_get_fd(watch->bus),
                                 .events = (short) (events < 0 ? 0 : events) };
}

int unit_watch_take(UnitWatch *watch, uint64_t *ret, Error *err)
{
        int r = 1;
        while (r > 0) {
                r = sd_bus_process(watch->bus, NULL);
        }
        if (r < 0) {
                return error_errno(err, r, "connection to systemd");
        }
        *ret = TAKE_GENERIC(watch->changed, 0);
        return 0;
}
