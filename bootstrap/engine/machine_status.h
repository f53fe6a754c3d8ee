/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/step.h"

/* The state of a run, as the engine tells it. */

typedef enum Phase {
        PHASE_STARTING,
        PHASE_CONVERGING,
        PHASE_READY,
        PHASE_DEGRADED, /* was ready; a step no longer holds and could not be repaired yet */
        PHASE_FAILED,
        _PHASE_MAX,
        _PHASE_INVALID = -EINVAL,
} Phase;

const char *phase_to_string(Phase phase);
Phase phase_from_string(const char *s);

#define STEP_WAITING_FOR_MAX 256

/* One step as people and the state file see it. Times are CLOCK_REALTIME in microseconds since
 * 1970; 0: never. */
typedef struct StepStatus {
        StepState state;   /* STEP_FAILED with next_retry_us: the table is run again then */
        unsigned attempts; /* how often apply was started */
        bool runs_here; /* false: this kind of machine does not run it, or the kind is not known yet
                         */
        uint64_t started_us, finished_us, next_retry_us;
        uint64_t looked_us; /* when its last probe ended */
        char waiting_for[STEP_WAITING_FOR_MAX];
        char reason[STEP_WAITING_FOR_MAX]; /* why the last probe said "not yet"; cleared by done */
        char warning[STEP_WAITING_FOR_MAX];
        Error error; /* the last one; cleared by done */
} StepStatus;

typedef struct MachineStatus {
        Phase phase;
        uint64_t since_us; /* when the phase began */
        size_t n_steps;
        const Step *table;
        StepStatus steps[STEPS_MAX];
} MachineStatus;

/* Returns why the step is not done yet, in its own words: what it waits for, else why its probe
 * said "not yet", else an empty text. */
const char *step_why(const StepStatus *step);

/* A change of one step, as a run tells it. */
typedef struct StepChange {
        size_t step;
        const StepStatus *before; /* as it was told last; see step_remember() */
        const StepStatus *after;
} StepChange;

/* Returns true if the change brought a text that is no repetition: an error, a warning, a reason,
 * or what the step waits for. */
bool step_change_says(const StepChange *change);
bool step_change_has_error(const StepChange *change); /* only for an error */

/* Copies *now, which was just told, to *told. A text that is empty between two attempts stays in
 * *told until the step is done, so that the same text in the next attempt is no news. */
void step_remember(StepStatus *told, const StepStatus *now);

/* Returns the step whose failure decides: an unsafe one, else the first one; NULL if no step
 * failed. */
const StepStatus *machine_decisive(const MachineStatus *status);

/* Counts the steps that this machine runs, and how many of them are done. */
void machine_count(const MachineStatus *status, size_t *ret_here, size_t *ret_done);

/* Returns when the last probe of a step that this machine runs ended, 0 if there was none. */
uint64_t machine_looked_us(const MachineStatus *status);

/* Copies from *before each step that was done and that this run has not probed yet. A run that
 * fails at its first step, or is interrupted, says nothing about the others. */
void machine_keep(MachineStatus *status, const MachineStatus *before);
