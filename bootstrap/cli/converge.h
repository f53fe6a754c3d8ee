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
        MachineStatus status; /* how the last converge() ended */
        MachineStatus known;  /* the same, with older results of steps that it did not probe */
        bool was_ready;       /* the machine was ready once: failures are repaired, not final */
        unsigned n_failed;    /* failed runs in a row */
        unsigned n_denied;    /* ready runs in a row in which a denial was only a warning */
        uint64_t again_at_ms; /* when the table is run again; UINT64_MAX: not planned */
        int lock_fd;          /* of inotify: another run has released the lock */
        StepWatch *watch;
        CfnReport cfn_report;
        bool has_http;
} Run;

/* Runs the table; the steps learn all facts again. The caller holds the lock. */
int converge(Run *run, Error *err);

/* Returns the options that every pass over this run's table has in common. */
MachineOptions converge_options(Run *run);
