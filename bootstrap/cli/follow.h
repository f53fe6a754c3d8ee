/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/progress.h"
#include "cli/runtime.h"

typedef struct FollowOptions {
        const Runtime *runtime;
        int holder;         /* the run to follow: its pid; 0: whichever */
        Progress *progress; /* NULL: only wait */
        Wait wait;
} FollowOptions;

/* Reads the state file at each change (inotify) until its phase is ready or failed (that of a
 * holder's run: until it is over): 0, and *ret is the last state. -ETIMEDOUT or -ECANCELED as
 * wait_check() has it, -ESRCH when the holder ended without a result; *ret is then what was read
 * last, all zero if nothing was. */
int follow_run(const FollowOptions *options, StateFile *ret, Error *err);

/* Until the process ends: 0, also where there is none of that pid. */
int follow_process(int pid, const Wait *wait, Error *err);
