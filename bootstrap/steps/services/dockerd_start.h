/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/boot.h"

/* service_start() or service_restart(). */
typedef int DockerdStart(const char *unit, StepContext *context, Error *err);

/* Starts docker or docker-bootstrap by `start`. A daemon.json that dockerd would refuse is refused
 * here, by its line. A dockerd that died of its damaged database of networks is started once more
 * without it. */
int dockerd_start(Boot *boot, Dockerd which, DockerdStart *start, StepContext *context, Error *err);
