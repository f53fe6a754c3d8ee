/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/machine_status.h"

typedef enum MachineMode {
        MACHINE_CONVERGE,
        MACHINE_PLAN, /* probes only: nothing is applied */
} MachineMode;

/* The functions by which a run reports, called on the engine's thread. A member may be NULL. A run
 * with `only` calls none. */
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
        /* Returns the bit of this machine's kind, or 0 while the kind is not known. Until then only
         * rows that every kind runs may start. Called on the engine's thread, at the start and
         * whenever a step is done. */
        unsigned (*kind)(void *userdata);
        unsigned all_kinds;
        MachineMode mode;
        /* The steps to apply even if their probe holds, and with them all steps that depend on
         * them. A step that destroys data is applied only if its probe asks for it. */
        uint64_t force;
        uint64_t only; /* 0: all steps. Else: probe only these, needs first, and apply nothing; the
                          run ends at the first step that does not hold */
        /* How an earlier run ended, of this process or of the daemon; NULL if there was none. The
         * phase goes on from there. After a run that was ready, the phase stays ready until a step
         * that is not routine is applied, or a step is retried or fails. It is then degraded
         * instead of converging. After a failure it is degraded instead of failed if the table of
         * outcomes says that the table is run again. */
        const MachineStatus *before;
        /* The caller runs the table of steps again if engine/outcome.c says so. A run that ended in
         * this way has not failed: the machine is still converging, or degraded. */
        bool resident;
        int stop_fd; /* readable: cancel everything and return; negative: never */
        MachineObserver observer;
} MachineOptions;

/* Runs the table to its end on the calling thread. Each running step has a worker thread, and steps
 * whose needs are done run at the same time. Returns 0 when every step of this kind is done (with
 * `only`: when all hold; with plan: when no probe failed), else negative: *err is the
 * decisive failure (an unsafe one, else the first), and its class decides the exit status.
 * engine/outcome.c has the consequences of each failure:
 *  - ERROR_RETRY: the step is retried with backoff until its deadline; then it fails.
 *  - ERROR_UNSAFE: all running steps are cancelled, no other starts,.
 *  - other classes: the step fails, steps that need it never start, the others go on to their end.
 *  - ERROR_DENIED if the step's row says that it is only a warning: done, with the warning.
 * If a row has no retry policy, an apply that failed is final; a probe that failed is retried.
 * Returns -ECANCELED after a stop by stop_fd, unless a step was unsafe, once every step function
 * has returned. *ret_status (may be NULL) is always filled. */
int machine_run(const MachineOptions *options, MachineStatus *ret_status, Error *err);
