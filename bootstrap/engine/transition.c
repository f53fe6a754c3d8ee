/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/machine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/string.h"
#include "base/wait.h"
#include "engine/outcome.h"

/* The pauses between probes of a step whose row has no retry policy. */
#define PROBE_FIRST_MS 1000
#define PROBE_MAX_MS   15000

uint64_t machine_now_us(void)
{
        struct timespec ts;
        (void) clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail for a clock that exists */
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

void machine_learn_kind(Machine *m)
{
        m->kind = m->options->kind(m->options->userdata);
        m->runs = steps_of(m->options->steps, m->options->n_steps, m->kind);
}

void machine_tell_phase(Machine *m)
{
        const MachineObserver *observer = &m->options->observer;
        if (!observer->phase || m->options->only) {
                return;
        }
        observer->phase(&m->status, observer->userdata);
        m->changed = true;
}

void machine_tell_step(Machine *m, size_t i)
{
        const MachineObserver *observer = &m->options->observer;
        const StepChange change = { i, &m->told[i], &m->status.steps[i] };
        if (!observer->step || m->options->only) {
                return;
        }
        observer->step(&m->status, &change, observer->userdata);
        step_remember(&m->told[i], &m->status.steps[i]);
        m->changed = true;
}

void machine_tell_pause(Machine *m)
{
        const MachineObserver *observer = &m->options->observer;
        if (observer->pause && m->changed) {
                observer->pause(&m->status, observer->userdata);
        }
        m->changed = false;
}

void phase_set(Machine *m, Phase phase)
{
        if (m->status.phase != phase) {
                m->status.phase = phase;
                m->status.since_us = machine_now_us();
                machine_tell_phase(m);
        }
}

/* Sets the phase of a run that has work to do: degraded if the machine was ready, else converging.
 * Routine work on a ready machine leaves the phase as it is. */
static void phase_set_busy(Machine *m, bool routine)
{
        bool was_ready = m->status.phase == PHASE_READY || m->status.phase == PHASE_DEGRADED;
        if (routine && was_ready) {
                return;
        }
        if (m->options->mode == MACHINE_CONVERGE && !m->options->only) {
                phase_set(m, was_ready ? PHASE_DEGRADED : PHASE_CONVERGING);
        }
}

uint64_t unmet_needs(const Machine *m, size_t i)
{
        return machine_needs(m, i) & ~m->done;
}

/* Writes the names of the needs that are not done: a step that has not started waits for them. */
static void name_needs(const Machine *m, size_t i, char ret[STEP_WAITING_FOR_MAX])
{
        uint64_t needs = unmet_needs(m, i);
        size_t used = 0;
        ret[0] = '\0';
        for (size_t j = 0; j < m->options->n_steps && used < STEP_WAITING_FOR_MAX; j++) {
                if (needs & STEP_MASK(j)) {
                        bool failed = m->status.steps[j].state == STEP_FAILED;
                        const char *comma = used ? ", " : "";
                        int n = snprintf(ret + used, STEP_WAITING_FOR_MAX - used, "%s%s%s", comma,
                                         machine_step(m, j)->name, failed ? " (failed)" : "");
                        used += n > 0 ? (size_t) n : 0;
                }
        }
}

void refresh_waiting(Machine *m)
{
        for (size_t i = 0; i < m->options->n_steps; i++) {
                StepStatus *s = &m->status.steps[i];
                s->runs_here = m->kind ? (machine_step(m, i)->runs_on & m->kind) != 0
                                       : machine_step(m, i)->runs_on == m->options->all_kinds;
                if (s->state == STEP_WAITING) {
                        name_needs(m, i, s->waiting_for);
                }
        }
}

void step_take_words(Machine *m, size_t i)
{
        StepContext *c = &m->contexts[i];
        StepStatus *s = &m->status.steps[i];
        (void) pthread_mutex_lock(&m->lock);
        bool told = c->told;
        c->told = false;
        (void) memccpy(s->waiting_for, c->waiting_for, '\0', sizeof(s->waiting_for));
        (void) memccpy(s->reason, c->reason, '\0', sizeof(s->reason));
        (void) memccpy(s->warning, c->warning, '\0', sizeof(s->warning));
        (void) pthread_mutex_unlock(&m->lock);
        if (told) {
                machine_tell_step(m, i);
        }
}

void step_enter(Machine *m, size_t i, StepState state)
{
        StepStatus *s = &m->status.steps[i];
        s->state = state;
        if (state != STEP_BACKOFF) {
                s->next_retry_us = 0;
        }
        if (state == STEP_DONE || state == STEP_FAILED) {
                s->finished_us = machine_now_us();
                s->waiting_for[0] = '\0';
        }
        if (state == STEP_DONE) {
                s->error = (Error) {};
                s->reason[0] = m->contexts[i].reason[0] = '\0'; /* its worker has ended: no lock */
                m->contexts[i].done_ms = wait_now_ms();
                m->done |= STEP_MASK(i);
                machine_learn_kind(m);
        }
        refresh_waiting(m);
        machine_tell_step(m, i);
        if (state == STEP_APPLYING || state == STEP_BACKOFF || state == STEP_FAILED ||
            (state == STEP_DONE && m->status.phase == PHASE_STARTING)) {
                phase_set_busy(m, state == STEP_APPLYING && machine_step(m, i)->routine);
        }
}

void machine_cancel(Machine *m)
{
        m->stopping = true;
        (void) eventfd_write(m->stop_fd, 1); /* cannot fail: written once or twice */
}

static void machine_fail(Machine *m, size_t i, const Error *error)
{
        if (m->result >= 0 || (error->class == ERROR_UNSAFE && m->error.class != ERROR_UNSAFE)) {
                m->error = *error;
                m->result = error_prefix(&m->error, "%s", machine_step(m, i)->name);
        }
        if (outcome_of(error)->step == OUTCOME_STOPS_ALL || m->options->only) {
                machine_cancel(m);
        }
}

static void step_fail(Machine *m, size_t i, const Error *error)
{
        m->status.steps[i].error = *error;
        machine_fail(m, i, error);
        step_enter(m, i, STEP_FAILED);
}

static bool past_deadline(const Machine *m, size_t i)
{
        return wait_now_ms() >= m->contexts[i].wait.deadline_ms;
}

/* Returns the words that make a sentence of step_why(): what a step waits for is told as "the disk
 * to appear". */
static const char *before_why(const StepStatus *s)
{
        return isempty(s->waiting_for) ? "" : "waited for ";
}

static void step_give_up(Machine *m, size_t i)
{
        const StepStatus *s = &m->status.steps[i];
        Error error = s->error;
        const char *why = step_why(s);
        /* the probe only said "not yet", or the error only says that time is over */
        if (isempty(error.message) || (error.unexplained && !isempty(why))) {
                (void) error_set(&error, ERROR_RETRY, ETIMEDOUT, "%s%s", before_why(s),
                                 isempty(why) ? "not so yet" : why);
        }
        (void) error_prefix(&error, "gave up after %u s", machine_step(m, i)->deadline_s);
        step_fail(m, i, &error);
}

static void step_back_off(Machine *m, size_t i)
{
        StepContext *c = &m->contexts[i];
        if (past_deadline(m, i)) {
                step_give_up(m, i);
                return;
        }
        StepRetry retry = machine_step(m, i)->retry;
        if (retry.max_ms == 0) {
                retry = (StepRetry) { PROBE_FIRST_MS, PROBE_MAX_MS };
        }
        /* if the deadline comes first, the step gives up then, without a retry */
        uint64_t ms = wait_backoff_ms(retry.first_ms, retry.max_ms, c->failures++);
        Wait wait = wait_part(&c->wait, ms);
        c->retry_at_ms = wait.deadline_ms;
        m->status.steps[i].next_retry_us = machine_now_us() + (uint64_t) wait_left_ms(&wait) * 1000;
        step_enter(m, i, STEP_BACKOFF);
}

/* Called when a probe or an apply has failed. `final`: it is not retried. */
static void step_failed(Machine *m, size_t i, const Error *error, bool final)
{
        StepStatus *s = &m->status.steps[i];
        if (m->stopping && error->class != ERROR_UNSAFE) {
                step_enter(m, i, STEP_WAITING); /* cut short: says nothing about the step */
        } else if (error->class == ERROR_DENIED && machine_step(m, i)->denial_is_warning) {
                (void) snprintf(s->warning, sizeof(s->warning), "%s", error->message);
                step_enter(m, i, STEP_DONE);
        } else if (outcome_of(error)->step != OUTCOME_RETRIES || final || m->options->only ||
                   m->options->mode == MACHINE_PLAN) {
                step_fail(m, i, error);
        } else {
                /* the deadline cut it before it could say anything: the reason is the error of the
                 * last attempt */
                bool is_mute = past_deadline(m, i) && error->unexplained && isempty(s->waiting_for);
                if (!is_mute || isempty(s->error.message)) {
                        s->error = *error;
                }
                step_back_off(m, i);
        }
}

void step_start(Machine *m, size_t i, StepState state)
{
        StepContext *c = &m->contexts[i];
        StepStatus *s = &m->status.steps[i];
        c->function =
                state == STEP_APPLYING ? machine_step(m, i)->apply : machine_step(m, i)->probe;
        c->settle_s = state == STEP_VERIFYING ? machine_step(m, i)->settle_s : 0;
        c->settle = (StepRetry) { machine_step(m, i)->retry.first_ms / 4,
                                  machine_step(m, i)->retry.first_ms * 2 };
        c->waiting_for[0] = s->waiting_for[0] = '\0'; /* no worker has it: no lock */
        if (state == STEP_PROBING) {
                c->warning[0] = s->warning[0] = '\0';
        }
        if (state != STEP_APPLYING) { /* a probe says again why not */
                c->reason[0] = s->reason[0] = '\0';
        }
        if (!s->started_us) {
                s->started_us = machine_now_us();
        }
        if (state == STEP_APPLYING) {
                s->attempts++;
        }
        step_enter(m, i, state);
        Error error = {};
        if (workers_start(m->workers, &c->job, &error) < 0) {
                step_failed(m, i, &error, false);
                return;
        }
        m->running |= STEP_MASK(i);
}

static bool must_force(const Machine *m, size_t i)
{
        return (m->forced & STEP_MASK(i)) && machine_step(m, i)->apply &&
               !machine_step(m, i)->destroys_data && !m->contexts[i].applied;
}

static void probe_said_no(Machine *m, size_t i)
{
        const Step *step = machine_step(m, i);
        if (m->options->only) {
                Error error = {};
                const char *why = m->status.steps[i].reason;
                (void) error_set(&error, ERROR_RETRY, ENOENT, "no longer so%s%s",
                                 isempty(why) ? "" : ": ", why);
                step_fail(m, i, &error);
        } else if (m->options->mode == MACHINE_PLAN) {
                step_enter(m, i, step->apply ? STEP_WOULD_APPLY : STEP_UNKNOWN);
        } else if (step->destroys_data && m->contexts[i].applied) {
                /* the probe after the apply could not tell, and now it says "not yet" */
                Error error = {};
                (void) error_set(&error, ERROR_FATAL, EIO, "applied, but still not so");
                step_fail(m, i, &error);
        } else if (step->apply) {
                step_start(m, i, STEP_APPLYING);
        } else {
                m->status.steps[i].error = (Error) {};
                step_back_off(m, i);
        }
}

void step_proceed(Machine *m, size_t i)
{
        StepContext *c = &m->contexts[i];
        StepState state = m->status.steps[i].state;
        bool once = machine_step(m, i)->retry.max_ms == 0;
        if (state != STEP_APPLYING && c->result != -ECANCELED) {
                m->status.steps[i].looked_us = machine_now_us();
        }
        if (c->result < 0) {
                step_failed(m, i, &c->error, once && state == STEP_APPLYING);
        } else if (m->stopping) {
                step_enter(m, i, STEP_WAITING);
        } else if (state == STEP_APPLYING) {
                c->applied = true;
                step_start(m, i, STEP_VERIFYING);
        } else if (state == STEP_VERIFYING && c->result == 0) {
                Error error = {};
                const StepStatus *s = &m->status.steps[i];
                const char *why = step_why(s);
                (void) error_set(&error, ERROR_RETRY, EAGAIN, "applied, but still not so%s%s%s",
                                 isempty(why) ? "" : ": ", before_why(s), why);
                step_failed(m, i, &error, once);
        } else if (c->result == 0) {
                probe_said_no(m, i);
        } else if (state == STEP_PROBING && must_force(m, i)) {
                step_start(m, i, STEP_APPLYING);
        } else {
                step_enter(m, i, STEP_DONE);
        }
}

void step_look_again(Machine *m, size_t i)
{
        m->done &= ~STEP_MASK(i);
        m->contexts[i].begun = false;
        m->contexts[i].failures = 0;
        step_enter(m, i, STEP_WAITING);
}

void step_retry(Machine *m, size_t i)
{
        if (past_deadline(m, i)) {
                step_give_up(m, i);
        } else {
                step_start(m, i, STEP_PROBING);
        }
}
