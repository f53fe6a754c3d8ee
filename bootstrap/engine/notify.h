/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/machine.h"

/* Tells systemd (sd_notify(3)): STATUS= with what is running or waited for, EXTEND_TIMEOUT_USEC=
 * while converging, READY=1 once ready, RELOADING/STOPPING, ERRNO and STATUS on failure. Nothing
 * where NOTIFY_SOCKET is unset. */
void notify_status(const MachineStatus *status);
void notify_ready(void);
void notify_stopping(void);

/* Pings the watchdog from its own timer thread is wrong (it would outlive a hung engine): the
 * engine's loop calls this at least every notify_watchdog_ms() (0: no watchdog). */
void notify_watchdog(void);
unsigned notify_watchdog_ms(void);
