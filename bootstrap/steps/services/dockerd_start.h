/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/boot.h"

/* service_start() or service_restart(). */
typedef int DockerdStart(const char *unit, StepContext *context, Error *err);

/* Starts docker or docker-bootstrap with `start`. Refuses a daemon.json that dockerd would refuse;
 * the error names the line or the key. A dockerd that died because of its damaged database of
 * networks is started once more without that database. */
int dockerd_start(Boot *boot, Dockerd which, DockerdStart *start, StepContext *context, Error *err);
