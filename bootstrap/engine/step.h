/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/wait.h"

/* The rows of the table the engine runs. It knows nothing of what they do. */

typedef struct StepContext StepContext;

/* The wait a step function passes to whatever blocks: its deadline, and the stop request. */
const Wait *step_wait(const StepContext *context);

/* What it waits for just now, for people ("volume vol-1: attached to i-2 since 10:00"); shown by
 * status and systemd until the next call or the function's end. NULL clears. */
void step_waiting_for(StepContext *context, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Says why the probe, or a look of step_await(), answers "not yet", in one line: "ca.key has mode
 * 0644, expected 0600". plan, status and the journal show it until the step is done. */
void step_not_yet(StepContext *context, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Something worth an administrator's attention that does not stop the step; logged and kept in
 * status. Further ones are added; those of an earlier attempt are forgotten. */
void step_warn(StepContext *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Probe: 1 already so, 0 not yet, negative cannot tell (never "not yet"). It writes nothing
 * anywhere but into the facts of its own step. Apply: 0 or negative. */
typedef int StepFunction(void *userdata, StepContext *context, Error *err);

/* Pauses that grow, with full jitter (wait_backoff_ms()). As a row's policy for what failed, both 0
 * mean that a failed apply is final. */
typedef struct StepRetry {
        unsigned first_ms, max_ms;
} StepRetry;

/* Waits for what gives no event: calls `look`, a probe with this userdata, with pauses between,
 * until it returns something other than 0, which is returned. Returns 0 once limit_s (0: none) is
 * over, and -ETIMEDOUT once the time of the step is. */
int step_await(StepContext *context, StepFunction *look, void *userdata, StepRetry every,
               unsigned limit_s, Error *err);

/* Returns how often the step_await() that runs has looked before. */
unsigned step_looks(const StepContext *context);

/* Makes the next pause short again. For a look that did something. */
void step_look_soon(StepContext *context);

#define STEP_MASK(id) (UINT64_C(1) << (id))

typedef struct Step {
        const char *name;
        const char *makes_true; /* one line for people */
        unsigned runs_on;       /* mask of roles: a machine of any of them runs it */
        uint64_t needs;         /* mask of steps; one that the machine does not run is no need */
        StepFunction *probe;
        StepFunction *apply; /* NULL: the step only learns or waits for what its probe sees */
        StepRetry retry;
        unsigned settle_s;   /* how long after an apply the probe may say "not yet", as what was
                                applied takes effect; 0: not at all */
        unsigned deadline_s; /* for the step as a whole, all attempts; 0: none */
        unsigned reprobe_s;  /* how often a resident daemon looks again; 0: only when it runs the
                                table */
        bool destroys_data; /* apply may destroy data: at most once a run, never forced by --from */
        bool denial_is_warning; /* ERROR_DENIED counts as done, with a warning */
        bool routine; /* applying it is work that a healthy machine has, not the loss of anything */
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

/* Returns the mask of the rows that a machine of this role runs; of all rows where it is 0, not
 * known. */
uint64_t steps_of(const Step *steps, size_t n, unsigned role);

/* The row of that name, or -ENOENT. */
int step_find(const Step *steps, size_t n, const char *name);

const char *step_state_to_string(StepState state);
StepState step_state_from_string(const char *s);

/* Walks the table: names unique and well-formed, functions there, needs within the table,
 * without cycles, and run by some role that has the step, destroyers without retry. 0, or
 * ERROR_FATAL with the first fault. */
int step_table_check(const Step *steps, size_t n, unsigned all_roles, Error *err);
