/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/args.h"
#include "cli/cfn_report.h"
#include "cli/exit_status.h"
#include "cli/observer.h"
#include "cli/signals.h"
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
        CfnReport cfn_report;
        bool has_http;
} Run;

/* Runs the table, with facts learned anew. The caller holds the lock. */
int converge(Run *run, Error *err);

/* Returns the options that every pass over this run's table has in common. */
MachineOptions converge_options(Run *run);
