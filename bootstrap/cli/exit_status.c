/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/exit_status.h"

ExitStatus exit_status_from_class(ErrorClass class)
{
        switch (class) {
        case ERROR_RETRY:
                return EXIT_TEMPORARY;
        case ERROR_CONFIG:
                return EXIT_CONFIG;
        case ERROR_DENIED:
                return EXIT_DENIED;
        case ERROR_UNSAFE:
                return EXIT_UNSAFE;
        default:
                return EXIT_FAILED;
        }
}

ExitStatus exit_status_from_phase(Phase phase)
{
        switch (phase) {
        case PHASE_READY:
                return EXIT_DONE;
        case PHASE_FAILED:
                return EXIT_FAILED;
        case PHASE_DEGRADED:
                return EXIT_DEGRADED;
        default:
                return EXIT_CONVERGING;
        }
}
