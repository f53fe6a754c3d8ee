/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "engine/machine.h"

/* Shows a run as it happens: on a terminal the steps, redrawn in place; else a line for each change
 * worth one, with the time since the start. */
typedef struct Progress {
        FILE *out;
        bool terminal;
        uint64_t started_us, drawn_us;
        unsigned n_drawn; /* lines on the terminal that the next drawing replaces */
} Progress;

void progress_init(Progress *progress, FILE *out);

/* Returns how often a terminal is to be redrawn; 0: never. */
unsigned progress_tick_ms(const Progress *progress); /* 0 for NULL */

/* Show what changed. A tick also redraws the times on a terminal. */
void progress_step(Progress *progress, const MachineStatus *status, const StepChange *change);
void progress_phase(Progress *progress, const MachineStatus *status);
void progress_tick(Progress *progress, const MachineStatus *status);

/* Prints the table of steps, as `status` shows it. Returns the number of lines. `columns` 0: lines
 * are not cut. */
unsigned progress_table(FILE *out, const MachineStatus *status, uint64_t now_us, unsigned columns,
                        bool colour);
