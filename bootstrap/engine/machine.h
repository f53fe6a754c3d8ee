/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/step.h"

typedef enum Phase {
        PHASE_STARTING,
        PHASE_CONVERGING,
        PHASE_READY,
        PHASE_DEGRADED, /* was ready; something is no longer so and could not be mended yet */
        PHASE_FAILED,
        _PHASE_MAX,
        _PHASE_INVALID = -22,
} Phase;

const char *phase_to_string(Phase phase);
Phase phase_from_string(const char *s);

#define STEP_WAITING_FOR_MAX 256

/* One step as people and the state file see it. Times: CLOCK_REALTIME, microseconds since 1970; 0:
 * not. */
typedef struct StepStatus {
        StepState state;   /* a failed one with next_retry_us: the table is run again then */
        unsigned attempts; /* applications begun */
        bool in_role; /* false: this machine's role does not run it, or the role is not known yet */
        uint64_t started_us, finished_us, next_retry_us;
        uint64_t looked_us; /* when a probe of it last came to its end */
        char waiting_for[STEP_WAITING_FOR_MAX];
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

typedef enum MachineMode {
        MACHINE_CONVERGE,
        MACHINE_PLAN, /* probes only: nothing is applied */
} MachineMode;

/* What an observer is told in place of a step. */
#define MACHINE_PHASE (-1)
#define MACHINE_TICK  (-2)

typedef struct MachineOptions {
        const Step *steps;
        size_t n_steps;
        void *userdata; /* handed to the step functions */
        /* The role's bit, 0 while it is not known (then only rows without unmet needs whose roles
         * include every role run). Called on the engine's thread whenever a step is done. */
        unsigned (*role)(void *userdata);
        unsigned all_roles;
        MachineMode mode;
        /* Steps applied even where their probe holds, and with them all that depends on them; but
         * what destroys data is applied only where its probe asks for it. */
        uint64_t force;
        uint64_t only; /* 0: all. Else: probe just these, what they need first, apply nothing; ended
                          by the first that is not so */
        /* How an earlier run of this process ended, NULL if there was none: the phase goes on from
         * there. After one that was ready, it stays ready until something that is no routine is
         * found not to be so, or fails, and is then degraded instead of converging; and stays so,
         * instead of having failed, where the table of outcomes says that the table is run again.
         */
        const MachineStatus *before;
        /* The caller runs the table again by itself where the table of outcomes says so: such a run
         * has not failed, but is still converging. */
        bool resident;
        int stop_fd; /* readable: cancel everything and return; negative: never */
        /* Called on the engine's thread at each change, with the step that changed, or
         * MACHINE_PHASE; and with MACHINE_TICK about every tick_ms, if that is not 0. */
        void (*changed)(const MachineStatus *status, int step, void *observer);
        void *observer;
        unsigned tick_ms;
} MachineOptions;

/* Runs the table to its end on the calling thread, one worker thread a running step, needs met side
 * by side. Returns 0 when every step of the role is done (with `only`: when all hold; with plan:
 * when no probe failed), else negative: *err is the first decisive failure, by its class the exit
 * status.
 * engine/outcome.c has the consequences of each failure:
 *  - ERROR_RETRY: backoff and again, until the step's deadline; then the step fails.
 *  - ERROR_UNSAFE: everything running is cancelled, nothing more is started, and it is the decisive
 *    failure whatever failed before.
 *  - other classes: the step fails, what depends on it never starts, the rest goes on to its end.
 *  - ERROR_DENIED where the step's row says that it is only a warning: done, with the warning.
 * Where a row has no retry policy a failed apply is final; its probe is retried all the same.
 * Stopped by stop_fd: -ECANCELED, once every step function has returned. *ret_status (may be NULL)
 * is always filled. */
int machine_run(const MachineOptions *options, MachineStatus *ret_status, Error *err);

/* The failure that decides: an unsafe one, else the one that came first; NULL if no step failed. */
const StepStatus *machine_decisive(const MachineStatus *status);

/* Steps of the role, and how many of them are done. */
void machine_count(const MachineStatus *status, size_t *ret_in_role, size_t *ret_done);

/* When the machine was last looked at: the latest of its steps' looks, 0 for none. */
uint64_t machine_looked_us(const MachineStatus *status);

/* Keeps what an earlier run found done and this one has not looked at yet: a run that fails at its
 * first step, or is interrupted, says nothing about the others. */
void machine_keep(MachineStatus *status, const MachineStatus *before);
