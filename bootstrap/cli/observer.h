/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/journal.h"
#include "cli/progress.h"
#include "cli/runtime.h"
#include "engine/notify.h"
#include "steps/boot.h"

/* Tells a run's changes to all who want to know: the journal, the state file, systemd, and who
 * started it by hand. */
typedef struct Observer {
        const Runtime *runtime;
        const Boot *boot;
        const MachineStatus *before;    /* what an earlier run found; NULL: nothing is kept of it */
        int daemon;                     /* the service's process, 0 if none is known */
        Progress *progress;             /* NULL: nobody watches */
        char instance_id[32], role[32]; /* as far as the steps have told */
        bool state_failed;              /* said once */
        char notified[NOTIFY_STATUS_MAX]; /* see notify_status() */
} Observer;

/* Returns what to give to a run, for it to tell this observer. */
MachineObserver observer_of_machine(Observer *observer);

/* Tells how the machine is while no run is under way: after one, and when it was looked at. */
void observer_idle(Observer *observer, const MachineStatus *status);
