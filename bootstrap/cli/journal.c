/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/journal.h"

#include <stdio.h>

#include "base/log.h"
#include "base/string.h"
#include "cli/text.h"
#include "steps/boot.h"

static void tell_step(const Step *step, const StepStatus *s, const char *role, Phase phase)
{
        char attempts[16], duration[TEXT_DURATION_MAX];
        (void) snprintf(attempts, sizeof(attempts), "%u", s->attempts);
        text_step_duration(s, text_now_us(), duration);
        const LogField fields[] = {
                { LOG_FIELD_STEP, step->name },
                { LOG_FIELD_STATE, step_state_to_string(s->state) },
                { LOG_FIELD_ROLE, role },
                { LOG_FIELD_ATTEMPT, attempts },
        };
        const size_t n = ELEMENTS(fields);
        /* a step that is probed again and still holds is no news */
        bool was_ready = phase == PHASE_READY || phase == PHASE_DEGRADED;
        int done_priority = was_ready && s->attempts == 0 ? LOG_DEBUG : LOG_INFO;
        switch (s->state) {
        case STEP_APPLYING:
                log_write(LOG_INFO, LOG_ID_STEP_APPLY, fields, n, "%s: not so yet, applying%s%s",
                          step->name, s->reason[0] ? ": " : "", s->reason);
                break;
        case STEP_DONE:
                log_write(done_priority, LOG_ID_STEP_DONE, fields, n, "%s: done after %s%s",
                          step->name, duration, s->attempts ? "" : ", was so already");
                if (s->warning[0]) {
                        bool config = step == &boot_steps[BOOT_CONFIG];
                        log_write(LOG_WARNING, config ? LOG_ID_CONFIG : LOG_ID_STEP_WARNING, fields,
                                  n, "%s: %s", step->name, s->warning);
                }
                break;
        case STEP_BACKOFF:
                log_error(LOG_NOTICE, LOG_ID_STEP_RETRY, fields, n, &s->error, "%s: will try again",
                          step->name);
                break;
        case STEP_FAILED:
                if (s->error.class == ERROR_UNSAFE) {
                        log_error(LOG_CRIT, LOG_ID_STEP_UNSAFE, fields, n, &s->error,
                                  "%s: unsafe to go on", step->name);
                } else {
                        log_error(LOG_ERR, LOG_ID_STEP_FAILED, fields, n, &s->error, "%s: failed",
                                  step->name);
                }
                break;
        default:
                break;
        }
}

void journal_phase(const MachineStatus *status, const char *role)
{
        const char *phase = phase_to_string(status->phase);
        const LogField fields[] = { { LOG_FIELD_PHASE, phase }, { LOG_FIELD_ROLE, role } };
        log_write(LOG_INFO, LOG_ID_PHASE, fields, ELEMENTS(fields), "%s", phase);
}

void journal_step(const MachineStatus *status, const StepChange *change, const char *role)
{
        const StepStatus *before = change->before, *s = change->after;
        bool news = s->state != before->state || s->attempts != before->attempts;
        if (s->state == STEP_BACKOFF) { /* a retry without a new error is no news */
                news = step_change_has_error(change);
        } else if (s->state == STEP_APPLYING) {
                news = news && s->attempts == 1;
        }
        if (news) {
                tell_step(&status->table[change->step], s, role, status->phase);
        }
}
