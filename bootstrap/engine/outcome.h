/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/* The consequences of a failure, by its class and its source: one table for the engine, the
 * resident daemon and the word to the stack. */

typedef enum OutcomeStep {
        OUTCOME_FAILS,     /* the step fails, and what needs it does not start */
        OUTCOME_RETRIES,   /* the step tries again, until its deadline */
        OUTCOME_STOPS_ALL, /* every step is stopped */
} OutcomeStep;

typedef enum OutcomeRun {
        OUTCOME_ENDS,  /* the daemon ends, by the exit status of the class */
        OUTCOME_AGAIN, /* the daemon stays, and runs the table again, ever more slowly */
} OutcomeRun;

typedef enum OutcomeSignal {
        OUTCOME_NEVER,   /* the stack's own timeout tells */
        OUTCOME_AT_ONCE, /* nothing but a person changes it */
        OUTCOME_LATER,   /* once it has lasted (boot_patience_ms) */
} OutcomeSignal;

typedef struct Outcome {
        OutcomeStep step;
        OutcomeRun before_ready, after_ready; /* of a run that failed by it */
        OutcomeSignal signal; /* when the stack hears FAILURE; never once it heard SUCCESS */
} Outcome;

const Outcome *outcome_of(const Error *error);
