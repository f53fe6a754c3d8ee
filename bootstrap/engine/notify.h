/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/machine_status.h"

/* Tells systemd the state of the run (sd_notify(3)). Does nothing if NOTIFY_SOCKET is unset, as in
 * a run by hand. */

#define NOTIFY_STATUS_MAX 512

/* Writes one line for people, the text of STATUS=: "volume-attach: vol-1 is attached to i-2 since
 * 10:00; 3 of 17 steps done". */
void notify_text(const MachineStatus *status, char ret[NOTIFY_STATUS_MAX]);

/* Sends STATUS=, and ERRNO= once the run has failed. `trouble` (NULL: none) is appended: it says
 * why the status could not be told elsewhere. `said` is the line that was sent last, empty at
 * first. The same line is not sent again, because each message wakes PID 1. */
void notify_status(const MachineStatus *status, const char *trouble, char said[NOTIFY_STATUS_MAX]);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

/* Pings the watchdog, and extends the start timeout while the unit is starting. A timer thread
 * would go on with this while the engine hangs, so every loop calls it itself, at least every
 * notify_alive_ms() (0: not needed). */
void notify_alive(void);
unsigned notify_alive_ms(void);
