/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/journal.h"
#include "cli/progress.h"
#include "cli/runtime.h"
#include "engine/notify.h"
#include "steps/boot.h"

/* Tells a run's changes to the journal, the state file, systemd, and the person who started it by
 * hand. */
typedef struct Observer {
        const Runtime *runtime;
        const Boot *boot;
        const MachineStatus *before; /* what an earlier run found; NULL: nothing is kept of it */
        int daemon;                  /* the pid of the service's process, 0 if not known */
        Progress *progress;          /* NULL: nobody watches */
        char instance_id[32], role[32], runtime_name[32]; /* as far as the steps have told */
        bool state_failed;                /* the state file could not be written; logged once */
        char notified[NOTIFY_STATUS_MAX]; /* see notify_status() */
} Observer;

/* Returns the MachineObserver that makes a run tell this observer. */
MachineObserver observer_of_machine(Observer *observer);

/* Tells the state of the machine while no run is active: called after a run, and after the idle
 * daemon has probed steps. */
void observer_idle(Observer *observer, const MachineStatus *status);
