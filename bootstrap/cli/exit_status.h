/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "engine/machine.h"

/* What the program's exit status says; sysexits(3) where that has a number for it. The unit names
 * those that systemd is not to restart. */
typedef enum ExitStatus {
        EXIT_DONE = 0,
        EXIT_FAILED = 1,
        EXIT_CONVERGING = 2,
        EXIT_DEGRADED = 3,
        EXIT_LOCKED = 4,
        EXIT_USAGE = 64,
        EXIT_UNSAFE = 65,
        EXIT_TEMPORARY = 75,
        EXIT_DENIED = 77,
        EXIT_CONFIG = 78,
        EXIT_INTERRUPTED = 130, /* as a shell has it of SIGINT */
} ExitStatus;

ExitStatus exit_status_from_class(ErrorClass class);
ExitStatus exit_status_from_phase(Phase phase);
