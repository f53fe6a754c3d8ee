/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/progress.h"
#include "cli/runtime.h"

typedef struct FollowOptions {
        const Runtime *runtime;
        int holder;         /* the pid of the run to follow; 0: any run */
        Progress *progress; /* NULL: only wait */
        Wait wait;
} FollowOptions;

/* Reads the state file at each change (inotify) until its phase is ready or failed. With a holder:
 * until the holder's run is over. Returns 0, and *ret is the last state. Returns -ETIMEDOUT or
 * -ECANCELED as wait_check() does, or -ESRCH if the holder ended without a result; *ret is then the
 * state that was read last, all zero if there was none. */
int follow_run(const FollowOptions *options, StateFile *ret, Error *err);

/* Waits until the process ends. Returns 0, also if there is no process with that pid, or -ETIMEDOUT
 * or -ECANCELED as wait_check() does. */
int follow_process(int pid, const Wait *wait, Error *err);
