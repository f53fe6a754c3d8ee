/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Receives systemd's signals that units change (PropertiesChanged), for a thread that waits for
 * other events too. */
typedef struct UnitWatch UnitWatch;

/* Opens a watch. `names`, 64 at most, stay the caller's. */
int unit_watch_open(const char *const *names, size_t n, UnitWatch **ret, Error *err);
void unit_watch_free(UnitWatch *watch);
DEFINE_CLEANUP(UnitWatch *, unit_watch_free);

/* Returns the events to poll for. */
struct pollfd unit_watch_poll(const UnitWatch *watch);

/* Handles the signals that have arrived, without waiting. *ret gets a bit for each unit that has
 * settled in another state (active, inactive, failed, or waiting for its own restart), in the order
 * of the names. A lost connection (systemd re-executed itself) is an error: the caller must open
 * another watch. */
int unit_watch_take(UnitWatch *watch, uint64_t *ret, Error *err);
