/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/machine.h"

/* What the journal was last told of each step, so that one failure is one entry. */
typedef struct Journal {
        struct {
                StepState state;
                unsigned attempts;
                char error[128]; /* the beginning of its message */
        } told[STEPS_MAX];
} Journal;

/* As MachineOptions.changed: an entry with its fields for each change that an administrator may
 * look for later. A failure that repeats itself is told once. */
void journal_changed(Journal *journal, const MachineStatus *status, const char *role, int step);
