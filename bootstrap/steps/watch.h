/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <poll.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Tells an idle daemon which steps to probe before their time: systemd tells of units that changed,
 * the kernel of files in SECRETS_DIR. */
typedef struct StepWatch StepWatch;

/* Returns NULL when out of memory. Steps whose events cannot be watched are probed at their usual
 * time. */
StepWatch *step_watch_new(void);
void step_watch_free(StepWatch *watch);
DEFINE_CLEANUP(StepWatch *, step_watch_free);

/* Fills in what to poll for. */
#define STEP_WATCH_FDS 2
void step_watch_poll(StepWatch *watch, struct pollfd ret[STEP_WATCH_FDS]);

/* Returns the mask of the steps for which an event has arrived. Does not wait. */
uint64_t step_watch_take(StepWatch *watch);
