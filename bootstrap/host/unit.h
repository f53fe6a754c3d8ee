/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/wait.h"

/* systemd over sd-bus: org.freedesktop.systemd1. Each call opens its own connection, as workers are
 * threads and sd-bus objects are not shared between them. */

typedef struct UnitState {
        char load[32];   /* "loaded", "not-found", "masked" */
        char active[32]; /* "active", "activating", "failed", "inactive" */
        char sub[32];
        char result[32];          /* service result: "success", "exit-code" … */
        uint64_t invocation[2];   /* InvocationID: changes with each start */
        uint64_t active_since_us; /* realtime, 0 if not active */
        bool need_reload;         /* NeedDaemonReload */
} UnitState;

/* Reads the unit's state. A unit that does not exist has load "not-found"; it is not an error. */
int unit_look(const char *name, const Wait *wait, UnitState *ret, Error *err);

/* Starts, restarts or stops the unit with mode "replace", and waits for the job's end (JobRemoved).
 * Returns 0 if the job's result is "done". Any other result is ERROR_RETRY; the message has that
 * result, the unit's own Result and its last words. "not-found" and "masked" are ERROR_CONFIG. */
int unit_start(const char *name, const Wait *wait, Error *err);
int unit_restart(const char *name, const Wait *wait, Error *err);
int unit_stop(const char *name, const Wait *wait, Error *err);

/* Resets "failed", so that systemd's rate limit does not refuse a start. A unit that is not loaded
 * is fine. */
int unit_reset_failed(const char *name, const Wait *wait, Error *err);

/* Waits until the unit's state differs from `seen`, or timeout_ms passed. Uses events
 * (PropertiesChanged) instead of a poll. Returns 1 if it changed, 0 if not. */
int unit_wait_change(const char *name, const UnitState *seen, const Wait *wait, uint64_t timeout_ms,
                     Error *err);
