/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/machine.h"

/* Writes an entry with its fields for each change that an administrator may look for later. A
 * failure that repeats itself is one entry. `role` may be NULL. */
void journal_step(const MachineStatus *status, const StepChange *change, const char *role);
void journal_phase(const MachineStatus *status, const char *role);
