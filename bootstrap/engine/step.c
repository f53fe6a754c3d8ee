/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/step.h"

#include <errno.h>
#include <stdio.h>

#include "base/string.h"

#define STEP_NAME_MAX 32

static const char state_names[_STEP_STATE_MAX][12] = {
        [STEP_WAITING] = "waiting",   [STEP_PROBING] = "probing",
        [STEP_APPLYING] = "applying", [STEP_VERIFYING] = "verifying",
        [STEP_DONE] = "done",         [STEP_BACKOFF] = "backoff",
        [STEP_FAILED] = "failed",     [STEP_WOULD_APPLY] = "would-apply",
        [STEP_UNKNOWN] = "unknown",
};

const char *step_state_to_string(StepState state)
{
        return state >= 0 && state < _STEP_STATE_MAX ? state_names[state] : "invalid";
}

StepState step_state_from_string(const char *s)
{
        for (StepState state = 0; s && state < _STEP_STATE_MAX; state++) {
                if (streq(state_names[state], s)) {
                        return state;
                }
        }
        return _STEP_STATE_INVALID;
}

uint64_t steps_of(const Step *steps, size_t n, unsigned kind)
{
        uint64_t mask = 0;
        for (size_t i = 0; i < n; i++) {
                mask |= kind == 0 || (steps[i].runs_on & kind) ? STEP_MASK(i) : 0;
        }
        return mask;
}

int step_find(const Step *steps, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++) {
                if (streq_ptr(steps[i].name, name)) {
                        return (int) i;
                }
        }
        return -ENOENT;
}

static bool name_is_well_formed(const char *name)
{
        if (isempty(name) || name[0] < 'a' || name[0] > 'z') {
                return false;
        }
        return strlen(name) <= STEP_NAME_MAX &&
               name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static int row_check(const Step *steps, size_t n, size_t i, unsigned all_kinds, Error *err)
{
        const Step *s = &steps[i];
        const char *fault = NULL;
        if (!name_is_well_formed(s->name)) {
                return error_set(err, ERROR_FATAL, EINVAL, "step %zu: name is not well-formed", i);
        }
        if (step_find(steps, n, s->name) != (int) i) {
                fault = "name is there twice";
        } else if (isempty(s->makes_true)) {
                fault = "does not say what it makes true";
        } else if (!s->probe) {
                fault = "has no probe";
        } else if (s->runs_on == 0 || (s->runs_on & ~all_kinds) != 0) {
                fault = "belongs to no kind of machine, or to an unknown one";
        } else if ((s->retry.first_ms == 0) != (s->retry.max_ms == 0) ||
                   s->retry.first_ms > s->retry.max_ms) {
                fault = "has a retry policy that is neither none nor growing";
        } else if (s->settle_s && (!s->apply || s->retry.max_ms == 0)) {
                fault = "has time to settle, but no apply that is retried";
        } else if (s->destroys_data && (!s->apply || s->retry.max_ms != 0)) {
                fault = "destroys data, so it must have an apply that is never retried";
        }
        return fault ? error_set(err, ERROR_FATAL, EINVAL, "step %s: %s", s->name, fault) : 0;
}

/* Checks that every need is a row of the table, and that some kind runs both the step and its
 * need. */
static int needs_check(const Step *steps, size_t n, size_t i, Error *err)
{
        for (size_t j = 0; j < STEPS_MAX; j++) {
                if (!(steps[i].needs & STEP_MASK(j))) {
                        continue;
                }
                if (j >= n) {
                        return error_set(err, ERROR_FATAL, EINVAL,
                                         "step %s: needs step %zu, which is not there",
                                         steps[i].name, j);
                }
                if (!(steps[j].runs_on & steps[i].runs_on)) {
                        return error_set(err, ERROR_FATAL, EINVAL,
                                         "step %s: needs %s, which no machine runs beside it",
                                         steps[i].name, steps[j].name);
                }
        }
        return 0;
}

/* Removes every step that needs no remaining step, until none is left to remove. If steps remain,
 * there is a cycle. The needs of all kinds are taken together, which is stricter than a check of
 * each kind. */
static int cycle_check(const Step *steps, size_t n, Error *err)
{
        uint64_t left = n == STEPS_MAX ? UINT64_MAX : STEP_MASK(n) - 1, before = 0;
        while (left != before) {
                before = left;
                for (size_t i = 0; i < n; i++) {
                        if ((steps[i].needs & left) == 0) {
                                left &= ~STEP_MASK(i);
                        }
                }
        }
        for (size_t i = 0; i < n; i++) {
                if (left & STEP_MASK(i)) {
                        return error_set(err, ERROR_FATAL, ELOOP,
                                         "step %s: needs itself, through others", steps[i].name);
                }
        }
        return 0;
}

int step_table_check(const Step *steps, size_t n, unsigned all_kinds, Error *err)
{
        if (n == 0 || n > STEPS_MAX) {
                return error_set(err, ERROR_FATAL, EINVAL, "a table of %zu steps", n);
        }
        for (size_t i = 0; i < n; i++) {
                int r = row_check(steps, n, i, all_kinds, err);
                if (r < 0) {
                        return r;
                }
        }
        for (size_t i = 0; i < n; i++) {
                int r = needs_check(steps, n, i, err);
                if (r < 0) {
                        return r;
                }
        }
        return cycle_check(steps, n, err);
}
