/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/string.h"

uint64_t text_now_us(void)
{
        struct timespec ts;
        (void) clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail for a clock that exists */
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

void text_duration(uint64_t us, char ret[TEXT_DURATION_MAX])
{
        unsigned long long s = us / 1000000;
        if (us < 1000000) {
                (void) snprintf(ret, TEXT_DURATION_MAX, "%u ms", (unsigned) (us / 1000));
        } else if (s < 60) {
                (void) snprintf(ret, TEXT_DURATION_MAX, "%llu.%u s", s,
                                (unsigned) (us / 100000 % 10));
        } else if (s < 3600) {
                (void) snprintf(ret, TEXT_DURATION_MAX, "%llu min %02llu s", s / 60, s % 60);
        } else {
                (void) snprintf(ret, TEXT_DURATION_MAX, "%llu h %02llu min", s / 3600, s / 60 % 60);
        }
}

void text_step_duration(const StepStatus *step, uint64_t now_us, char ret[TEXT_DURATION_MAX])
{
        ret[0] = '\0';
        bool ended = step->state == STEP_DONE || step->state == STEP_FAILED;
        uint64_t end = ended ? step->finished_us : now_us;
        if (step->started_us && step->state != STEP_WAITING && end >= step->started_us) {
                text_duration(end - step->started_us, ret);
        }
}

/* Appends `part` and `more` to the line, behind "; " if it is not empty. An empty `part` adds
 * nothing. */
static void add(char *text, const char *part, const char *more)
{
        if (!part[0]) {
                return;
        }
        size_t used = strlen(text);
        (void) snprintf(text + used, TEXT_STEP_MAX - used, "%s%s%s", used ? "; " : "", part, more);
}

void text_step(const StepStatus *step, uint64_t now_us, char ret[TEXT_STEP_MAX])
{
        ret[0] = '\0';
        if (step->state == STEP_WAITING && step->waiting_for[0]) {
                add(ret, "needs ", step->waiting_for);
        } else if (step->waiting_for[0]) {
                add(ret, step->waiting_for, "");
        }
        /* During an apply and its verification, the reason is newer than the error. A probe may
         * find another reason. */
        bool at_work = step->state == STEP_APPLYING || step->state == STEP_VERIFYING;
        if (step->error.message[0] && !(at_work && step->reason[0])) {
                add(ret, step->error.message, "");
        } else if (step->state != STEP_PROBING) {
                add(ret, step->reason, "");
        }
        if (step->next_retry_us) {
                char duration[TEXT_DURATION_MAX];
                text_duration(step->next_retry_us > now_us ? step->next_retry_us - now_us : 0,
                              duration);
                add(ret, "again in ", duration);
        }
        if (step->warning[0]) {
                add(ret, "warning: ", step->warning);
        }
        for (char *c = ret; *c; c++) {
                if ((unsigned char) *c < ' ' || *c == 0x7f) {
                        *c = ' '; /* outside bytes: no escape sequences, no second line */
                }
        }
}
