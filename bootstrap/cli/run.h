/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/args.h"
#include "cli/exit_status.h"
#include "cli/observer.h"
#include "cli/signals.h"
#include "cli/stack.h"
#include "steps/watch.h"

/* A run, by hand or by systemd, and what it carries along. */
typedef struct Run {
        const Arguments *arguments;
        Runtime runtime;
        Signals signals;
        Progress progress;
        Observer observer;
        Boot boot;
        MachineStatus status; /* how the last converging ended */
        MachineStatus known;  /* the same, with what earlier ones found of steps that it left out */
        bool was_ready;       /* once; from then on it is mended, not given up */
        unsigned n_failed;    /* runs in a row */
        unsigned n_denied;    /* ready runs in a row in which a denial was only a warning */
        uint64_t again_at_ms; /* the next one; UINT64_MAX: none is due */
        int lock_fd;          /* of inotify: another run has let go of the lock */
        StepWatch *watch;
        StackWord stack;
        bool has_http;
} Run;

ExitStatus cli_run(const Arguments *arguments);

/* Runs the table, with facts learned anew. The caller holds the lock. */
int run_converge(Run *run, Error *err);

/* The options every pass over this run's table has in common. */
MachineOptions run_options(Run *run);

/* Converges, stays, looks again now and then, and mends. Returns only with a failure, or -ECANCELED
 * once it was asked to end. */
int resident_run(Run *run, Error *err);
