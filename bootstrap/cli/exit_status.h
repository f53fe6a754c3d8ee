/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "engine/machine.h"

/* The program's exit status. The numbers are those of sysexits(3) where it has one that fits. The
 * unit names those after which systemd must not restart the daemon. */
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
        EXIT_INTERRUPTED = 130, /* as in a shell after SIGINT */
} ExitStatus;

ExitStatus exit_status_from_class(ErrorClass class);
ExitStatus exit_status_from_phase(Phase phase);
