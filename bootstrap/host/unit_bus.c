/* SPDX-License-Identifier: Apache-2.0 */
#include "host/unit_bus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "base/string.h"

/* Connections go to PID 1's private socket, as those of systemctl(1) run by root do: it is there
 * before dbus-daemon, and without it. On that socket every signal is delivered, without
 * Subscribe(), and no message names its sender. A caller that may not use the socket gets the
 * system bus. */
#define PRIVATE_SOCKET "unix:path=/run/systemd/private"

static const struct {
        const char *name;
        ErrorClass class;
        int error;
} bus_errors[] = {
        { "org.freedesktop.systemd1.NoSuchUnit", ERROR_CONFIG, ENOENT },
        { "org.freedesktop.systemd1.UnitMasked", ERROR_CONFIG, ESHUTDOWN },
        { "org.freedesktop.systemd1.LoadFailed", ERROR_CONFIG, EINVAL },
        { "org.freedesktop.systemd1.BadUnitSetting", ERROR_CONFIG, ENOEXEC },
        { SD_BUS_ERROR_INVALID_ARGS, ERROR_CONFIG, EINVAL }, /* no unit can have that name */
        { SD_BUS_ERROR_ACCESS_DENIED, ERROR_DENIED, EACCES },
        { SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, ERROR_DENIED, EACCES },
};

static int bus_error(const sd_bus_error *e, Error *err)
{
        FOREACH_ARRAY(row, bus_errors, ELEMENTS(bus_errors)) {
                if (streq(row->name, e->name)) {
                        return error_set(err, row->class, row->error, "%s", e->message);
                }
        }
        int error = sd_bus_error_get_errno(e);
        const char *message = isempty(e->message) ? e->name : e->message;
        return error_set(err, ERROR_RETRY, error ? error : EIO, "%s", message);
}

static int bus_try(const char *address, sd_bus **ret)
{
        _cleanup_bus_ sd_bus *bus = NULL;
        int r = address ? sd_bus_new(&bus) : sd_bus_open_system(&bus);
        if (r < 0) {
                return r;
        }
        if (address) {
                r = sd_bus_set_address(bus, address);
                if (r < 0) {
                        return r;
                }
                r = sd_bus_start(bus);
                if (r < 0) {
                        return r;
                }
        }
        *ret = TAKE(bus);
        return 0;
}

int unit_bus_open(sd_bus **ret, Error *err)
{
        int r = bus_try(PRIVATE_SOCKET, ret);
        if (r < 0 && bus_try(NULL, ret) >= 0) {
                return 0;
        }
        return r < 0 ? error_errno(err, r, "connect to systemd") : 0;
}

/* Tells what the connection waits for: an event, or a point in time (UINT64_MAX: none). */
static int bus_waits_for(sd_bus *bus, struct pollfd *ret, uint64_t *ret_timeout_us)
{
        int fd = sd_bus_get_fd(bus);
        if (fd < 0) {
                return fd;
        }
        int events = sd_bus_get_events(bus);
        if (events < 0) {
                return events;
        }
        *ret = (struct pollfd) { .fd = fd, .events = (short) events };
        *ret_timeout_us = UINT64_MAX;
        return sd_bus_get_timeout(bus, ret_timeout_us);
}

int unit_bus_turn(sd_bus *bus, const Wait *wait, Error *err)
{
        int r = sd_bus_process(bus, NULL);
        if (r != 0) {
                return r < 0 ? error_errno(err, r, "connection to systemd") : 1;
        }
        struct pollfd bus_fd;
        uint64_t timeout_us;
        r = bus_waits_for(bus, &bus_fd, &timeout_us);
        if (r < 0) {
                return error_errno(err, r, "connection to systemd");
        }
        Wait part = *wait;
        if (timeout_us != UINT64_MAX) { /* a point in time: the handshake's deadline */
                struct timespec now;
                (void) clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: this clock exists */
                uint64_t now_us = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
                part = wait_part(wait, timeout_us > now_us ? (timeout_us - now_us) / 1000 + 1 : 0);
        }
        r = wait_fd(&part, bus_fd.fd, bus_fd.events, err);
        return r == 0 && part.deadline_ms < wait->deadline_ms ? 1 : r;
}

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *e)
{
        (void) e;
        *(sd_bus_message **) userdata = sd_bus_message_ref(message);
        return 1;
}

int unit_bus_call(sd_bus *bus, sd_bus_message *call, const Wait *wait, sd_bus_message **ret,
                  Error *err)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r = sd_bus_call_async(bus, NULL, call, on_reply, &reply, UINT64_MAX);
        if (r < 0) {
                return error_errno(err, r, "call systemd");
        }
        while (!reply) {
                r = unit_bus_turn(bus, wait, err);
                if (r <= 0) {
                        return r < 0 ? r
                                     : error_set(err, ERROR_RETRY, ETIMEDOUT,
                                                 "timed out waiting for systemd's reply");
                }
        }
        if (sd_bus_message_is_method_error(reply, NULL)) {
                return bus_error(sd_bus_message_get_error(reply), err);
        }
        *ret = TAKE(reply);
        return 0;
}

int unit_bus_call_manager(sd_bus *bus, const char *method, const char *const *arguments,
                          size_t n_arguments, const Wait *wait, sd_bus_message **ret, Error *err)
{
        _cleanup_message_ sd_bus_message *call = NULL;
        int r = sd_bus_message_new_method_call(bus, &call, MANAGER_NAME, MANAGER_PATH,
                                               MANAGER_INTERFACE, method);
        for (size_t i = 0; r >= 0 && i < n_arguments; i++) {
                r = sd_bus_message_append_basic(call, 's', arguments[i]);
        }
        return r < 0 ? error_errno(err, r, "%s", method) : unit_bus_call(bus, call, wait, ret, err);
}

int unit_bus_subscribe(sd_bus *bus, const char *path, const char *interface, const char *member,
                       sd_bus_message_handler_t callback, void *userdata, const Wait *wait,
                       Error *err)
{
        bool private = sd_bus_is_bus_client(bus) <= 0;
        int r = sd_bus_match_signal_async(bus, NULL, private ? NULL : MANAGER_NAME, path, interface,
                                          member, callback, NULL, userdata);
        if (r < 0 || private) {
                return r < 0 ? error_errno(err, r, "await %s", member) : 0;
        }
        _cleanup_message_ sd_bus_message *reply = NULL;
        return unit_bus_call_manager(bus, "Subscribe", NULL, 0, wait, &reply, err);
}
