/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/* The consequences of a failure, by its class and its source: one table for the engine, the
 * resident daemon and the signal to the stack. */

typedef enum OutcomeStep {
        OUTCOME_FAILS,     /* the step fails, and what needs it does not start */
        OUTCOME_RETRIES,   /* the step is retried until its deadline */
        OUTCOME_STOPS_ALL, /* every step is stopped */
} OutcomeStep;

typedef enum OutcomeRun {
        OUTCOME_ENDS,  /* the daemon ends, with the exit status of the class */
        OUTCOME_AGAIN, /* the daemon stays, and runs the table again, ever more slowly */
} OutcomeRun;

typedef enum OutcomeSignal {
        OUTCOME_NEVER,   /* no signal: the stack has its own timeout */
        OUTCOME_AT_ONCE, /* only a person can change it */
        OUTCOME_LATER,   /* once it has lasted for boot_patience_ms */
} OutcomeSignal;

typedef struct Outcome {
        OutcomeStep step;
        OutcomeRun before_ready, after_ready; /* of a run that failed by it */
        OutcomeSignal signal;                 /* when the stack gets FAILURE; never after SUCCESS */
} Outcome;

const Outcome *outcome_of(const Error *error);
