/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Tells an idle daemon which steps to look at before their time: systemd, of units that
 * changed, and the kernel, of files in SECRETS_DIR. */
typedef struct StepWatch StepWatch;

/* NULL when memory is short. What cannot be listened to is looked at in its time. */
StepWatch *step_watch_new(void);
void step_watch_free(StepWatch *watch);
DEFINE_CLEANUP(StepWatch *, step_watch_free);

/* Fills in what to poll for. */
#define STEP_WATCH_FDS 2
void step_watch_poll(StepWatch *watch, struct pollfd ret[STEP_WATCH_FDS]);

/* The mask of the steps that something has come for, without waiting. */
uint64_t step_watch_take(StepWatch *watch);
