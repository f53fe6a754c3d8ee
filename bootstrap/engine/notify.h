/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/machine_status.h"

/* Tells systemd how it goes (sd_notify(3)). Nothing where NOTIFY_SOCKET is unset: a run by hand. */

#define NOTIFY_STATUS_MAX 512

/* One line for people, as STATUS= gets it: "volume-attach: vol-1 is attached to i-2 since 10:00; 3
 * of 17 steps done". */
void notify_text(const MachineStatus *status, char ret[NOTIFY_STATUS_MAX]);

/* STATUS=, and ERRNO= once failed. `trouble`, NULL for none, is what keeps status from being told
 * in any other place. `said` is the line that was sent last, empty at first: the same is not sent
 * again, as each wakes PID 1. */
void notify_status(const MachineStatus *status, const char *trouble, char said[NOTIFY_STATUS_MAX]);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

/* "Alive": pings the watchdog, and while starting extends the start timeout. From a timer thread it
 * would outlive a hung engine, so whoever loops calls this at least every notify_alive_ms()
 * (0: nobody asks). */
void notify_alive(void);
unsigned notify_alive_ms(void);
