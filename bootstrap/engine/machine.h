/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/machine_status.h"

typedef enum MachineMode {
        MACHINE_CONVERGE,
        MACHINE_PLAN, /* probes only: nothing is applied */
} MachineMode;

/* Whom a run tells, on the engine's thread. A member may be NULL. */
typedef struct MachineObserver {
        void (*step)(const MachineStatus *status, const StepChange *change, void *userdata);
        void (*phase)(const MachineStatus *status, void *userdata); /* also once at the start */
        /* after all changes that came together, before the engine waits for the next; and before
         * the first step runs */
        void (*pause)(const MachineStatus *status, void *userdata);
        void (*tick)(const MachineStatus *status, void *userdata); /* about every tick_ms */
        unsigned tick_ms;                                          /* 0: no ticks */
        void *userdata;
} MachineObserver;

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
        MachineObserver observer;
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
