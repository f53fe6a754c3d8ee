/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/wait.h"

/* The rows of the table that the engine runs. The engine does not know what they do. */

typedef struct StepContext StepContext;

/* Returns the Wait that a step function passes to every call that blocks. It has the step's
 * deadline, and the stop request. */
const Wait *step_wait(const StepContext *context);

/* Says what the step waits for now, for people ("volume vol-1: attached to i-2 since 10:00").
 * status and systemd show it until the next call, until the step's next function starts, or until
 * the step is done or has failed. NULL clears it. */
void step_waiting_for(StepContext *context, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Says why the probe, or a look of step_await(), answers "not yet", in one line: "ca.key has mode
 * 0644, expected 0600". plan, status and the journal show it until the step is done. */
void step_not_yet(StepContext *context, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Warns an administrator of something that does not stop the step. The warning is logged and kept
 * in status. Further warnings are appended; those of an earlier attempt are forgotten. */
void step_warn(StepContext *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A probe returns 1 if the step holds already, 0 if not yet, negative if it cannot tell (this never
 * means "not yet"). It writes nothing but the facts of its own step. An apply returns 0 or
 * negative. */
typedef int StepFunction(void *userdata, StepContext *context, Error *err);

/* Pauses that grow, with full jitter (wait_backoff_ms()). In a row of the table, this is the retry
 * policy: both 0 mean that a failed apply is final. */
typedef struct StepRetry {
        unsigned first_ms, max_ms;
} StepRetry;

/* Waits for something that gives no event: calls `look`, a probe with this userdata, with pauses
 * between the calls, while it returns 0. Returns its result, or 0 once limit_s (0: no limit) is
 * over, or -ETIMEDOUT once the deadline of the step has passed. */
int step_await(StepContext *context, StepFunction *look, void *userdata, StepRetry every,
               unsigned limit_s, Error *err);

/* Returns how often the running step_await() has called `look` before. */
unsigned step_looks(const StepContext *context);

/* Makes the next pause short again. Called by a `look` that did something. */
void step_look_soon(StepContext *context);

#define STEP_MASK(id) (UINT64_C(1) << (id))

typedef struct Step {
        const char *name;
        const char *makes_true; /* one line for people */
        unsigned runs_on;       /* mask of kinds of machines: each of them runs it */
        uint64_t needs;         /* mask of steps; those that the machine does not run are ignored */
        StepFunction *probe;
        StepFunction *apply; /* NULL: the step only learns or waits for what its probe sees */
        StepRetry retry;
        unsigned settle_s;   /* how long the probe may say "not yet" after an apply, while it takes
                                effect; 0: not at all */
        unsigned deadline_s; /* for the step as a whole, all attempts; 0: none */
        unsigned reprobe_s;  /* how often a resident daemon looks again; 0: only when it runs the
                                table */
        bool destroys_data; /* apply may destroy data: at most once a run, never forced by --from */
        bool denial_is_warning; /* ERROR_DENIED counts as done, with a warning */
        bool routine; /* applying it is normal work on a healthy machine: nothing was lost */
} Step;

#define STEPS_MAX 64

typedef enum StepState {
        STEP_WAITING,
        STEP_PROBING,
        STEP_APPLYING,
        STEP_VERIFYING,
        STEP_DONE,
        STEP_BACKOFF,
        STEP_FAILED,
        STEP_WOULD_APPLY, /* plan only: a run would apply it */
        STEP_UNKNOWN,     /* plan only: depends on what would be applied before */
        _STEP_STATE_MAX,
        _STEP_STATE_INVALID = -EINVAL,
} StepState;

/* Returns the mask of the rows that a machine of this kind (or of one of these kinds) runs. Kind 0
 * (not known): of all rows. */
uint64_t steps_of(const Step *steps, size_t n, unsigned kind);

/* Returns the index of the row with this name, or -ENOENT. */
int step_find(const Step *steps, size_t n, const char *name);

const char *step_state_to_string(StepState state);
StepState step_state_from_string(const char *s);

/* Checks the table: names are unique and well-formed, functions are there, needs are rows of the
 * table without cycles, some kind runs both a step and its need, a step that destroys data has no
 * retry. Returns 0, or ERROR_FATAL with the first fault. */
int step_table_check(const Step *steps, size_t n, unsigned all_kinds, Error *err);
