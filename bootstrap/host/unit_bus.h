/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* systemd's bus, for host/unit*.c. A connection belongs to one thread. */

#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/wait.h"

#define MANAGER_NAME      "org.freedesktop.systemd1"
#define MANAGER_PATH      "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"
#define PROPERTIES        "org.freedesktop.DBus.Properties"

#define _cleanup_bus_     _cleanup_(sd_bus_close_unrefp)
#define _cleanup_message_ _cleanup_(sd_bus_message_unrefp)

int unit_bus_open(sd_bus **ret, Error *err);

/* Handles one message, or waits for one. Returns 1, or 0 when the deadline passed. */
int unit_bus_turn(sd_bus *bus, const Wait *wait, Error *err);

/* Sends the call, waits for its reply. */
int unit_bus_call(sd_bus *bus, sd_bus_message *call, const Wait *wait, sd_bus_message **ret,
                  Error *err);

/* Calls a method of the manager with n_arguments strings. */
int unit_bus_call_manager(sd_bus *bus, const char *method, const char *const *arguments,
                          size_t n_arguments, const Wait *wait, sd_bus_message **ret, Error *err);

/* Subscribes the callback to a signal of systemd. */
int unit_bus_subscribe(sd_bus *bus, const char *path, const char *interface, const char *member,
                       sd_bus_message_handler_t callback, void *userdata, const Wait *wait,
                       Error *err);
