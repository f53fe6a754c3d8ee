/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/machine_status.h"

#include "base/string.h"

static const char phase_names[_PHASE_MAX][11] = {
        [PHASE_STARTING] = "starting", [PHASE_CONVERGING] = "converging", [PHASE_READY] = "ready",
        [PHASE_DEGRADED] = "degraded", [PHASE_FAILED] = "failed",
};

const char *phase_to_string(Phase phase)
{
        return phase >= 0 && phase < _PHASE_MAX ? phase_names[phase] : "invalid";
}

Phase phase_from_string(const char *s)
{
        for (Phase phase = 0; s && phase < _PHASE_MAX; phase++) {
                if (streq(phase_names[phase], s)) {
                        return phase;
                }
        }
        return _PHASE_INVALID;
}

const char *step_why(const StepStatus *step)
{
        return isempty(step->waiting_for) ? step->reason : step->waiting_for;
}

/* Returns true if the text is not empty and no repetition. Texts that begin with the same 127 bytes
 * count as the same, because AWS's may end with a time or an id. */
static bool is_news(const char *before, const char *after)
{
        return !isempty(after) && strncmp(before, after, 127) != 0;
}

bool step_change_has_error(const StepChange *change)
{
        return is_news(change->before->error.message, change->after->error.message);
}

bool step_change_says(const StepChange *change)
{
        const StepStatus *before = change->before, *after = change->after;
        return step_change_has_error(change) || is_news(before->warning, after->warning) ||
               is_news(before->reason, after->reason) ||
               is_news(before->waiting_for, after->waiting_for);
}

static void keep_text(char *text, const char *before)
{
        if (isempty(text)) {
                (void) memccpy(text, before, '\0', STEP_WAITING_FOR_MAX);
        }
}

void step_remember(StepStatus *told, const StepStatus *now)
{
        StepStatus before = *told;
        *told = *now;
        if (now->state == STEP_DONE) {
                return;
        }
        keep_text(told->waiting_for, before.waiting_for);
        keep_text(told->reason, before.reason);
        keep_text(told->warning, before.warning);
        /* a step that gives up repeats its last error behind "gave up": *told keeps the error
         * itself */
        bool gave_up = now->state == STEP_FAILED && !isempty(before.error.message);
        if (isempty(told->error.message) || gave_up) {
                told->error = before.error;
        }
}

const StepStatus *machine_decisive(const MachineStatus *status)
{
        const StepStatus *decisive = NULL;
        FOREACH_ARRAY(step, status->steps, status->n_steps) {
                if (step->state != STEP_FAILED) {
                        continue;
                }
                bool unsafe = step->error.class == ERROR_UNSAFE;
                bool was_unsafe = decisive && decisive->error.class == ERROR_UNSAFE;
                if (!decisive || unsafe > was_unsafe ||
                    (unsafe == was_unsafe && step->finished_us < decisive->finished_us)) {
                        decisive = step;
                }
        }
        return decisive;
}

void machine_count(const MachineStatus *status, size_t *ret_here, size_t *ret_done)
{
        size_t runs_here = 0, done = 0;
        FOREACH_ARRAY(step, status->steps, status->n_steps) {
                runs_here += step->runs_here;
                done += step->runs_here && step->state == STEP_DONE;
        }
        *ret_here = runs_here;
        *ret_done = done;
}

uint64_t machine_looked_us(const MachineStatus *status)
{
        uint64_t last = 0;
        FOREACH_ARRAY(step, status->steps, status->n_steps) {
                last = step->runs_here && step->looked_us > last ? step->looked_us : last;
        }
        return last;
}

void machine_keep(MachineStatus *status, const MachineStatus *before)
{
        for (size_t i = 0; i < status->n_steps && i < before->n_steps; i++) {
                StepStatus *now = &status->steps[i];
                const StepStatus *was = &before->steps[i];
                if (now->state == STEP_WAITING && now->looked_us == 0 && was->state == STEP_DONE) {
                        *now = *was;
                }
        }
}
