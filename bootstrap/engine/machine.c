/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/machine.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/string.h"
#include "engine/machine_internal.h"
#include "engine/notify.h"
#include "engine/outcome.h"

/* The longest deadline of a probe in a plan or with `only`. Nothing waits for such a probe, but the
 * row's deadline is for a boot, which may wait long. */
#define PROBE_ONLY_MS 60000

static void machine_free(Machine *m)
{
        workers_free(m->workers);
        (void) pthread_mutex_destroy(&m->lock);
        close_fdp(&m->stop_fd);
        free(m);
}

DEFINE_CLEANUP(Machine *, machine_free);

static void take_results(Machine *m)
{
        Job *next = NULL;
        for (Job *job = workers_finished(m->workers); job; job = next) {
                next = job->next;
                size_t i = ((StepContext *) job)->id;
                step_take_words(m, i);
                m->running &= ~STEP_MASK(i);
                step_proceed(m, i);
        }
        for (size_t i = 0; i < m->options->n_steps; i++) {
                if (m->running & STEP_MASK(i)) {
                        step_take_words(m, i);
                }
        }
}

static void step_begin(Machine *m, size_t i)
{
        const Step *step = machine_step(m, i);
        uint64_t ms = step->deadline_s ? (uint64_t) step->deadline_s * 1000 : UINT64_MAX;
        if ((m->options->only || m->options->mode == MACHINE_PLAN) && ms > PROBE_ONLY_MS) {
                ms = PROBE_ONLY_MS;
        }
        StepContext *c = &m->contexts[i];
        c->begun = true;
        c->wait = (Wait) { .deadline_ms = UINT64_MAX, .stop_fd = m->stop_fd };
        c->wait = wait_part(&c->wait, ms);
        if (machine_needs(m, i) & m->forced) {
                m->forced |= STEP_MASK(i);
        }
        step_start(m, i, STEP_PROBING);
}

/* Used in a plan. Marks a waiting step as unknown if a step that it needs would be applied, has
 * failed, or is unknown itself: the plan cannot tell what its probe would find. */
static void mark_unknown(Machine *m)
{
        uint64_t changing = 0, before = 0;
        do {
                before = changing;
                for (size_t i = 0; i < m->options->n_steps; i++) {
                        StepStatus *s = &m->status.steps[i];
                        if (s->state == STEP_WAITING && s->runs_here &&
                            (unmet_needs(m, i) & changing)) {
                                step_enter(m, i, STEP_UNKNOWN);
                        }
                        if (s->state == STEP_WOULD_APPLY || s->state == STEP_UNKNOWN ||
                            s->state == STEP_FAILED) {
                                changing |= STEP_MASK(i);
                        }
                }
        } while (changing != before);
}

/* Returns the steps that this step needs, directly or through other steps. */
static uint64_t needs_in_depth(const Machine *m, size_t i)
{
        uint64_t needs = machine_needs(m, i), before = 0;
        while (needs != before) {
                before = needs;
                for (size_t j = 0; j < m->options->n_steps; j++) {
                        needs |= needs & STEP_MASK(j) ? machine_needs(m, j) : 0;
                }
        }
        return needs;
}

/* Returns true if the step may start. The needs of its needs count, too, because a need that was
 * done may be probed again. With `only`, steps outside the mask count as done. Inside it, needs
 * still come first, because a probe reads facts that the probe of a needed step writes. */
static bool may_begin(const Machine *m, size_t i)
{
        uint64_t only = m->options->only, missing = needs_in_depth(m, i) & ~m->done;
        return only ? (only & STEP_MASK(i)) && !(missing & only) : !missing && !unmet_needs(m, i);
}

/* Returns true if a step that may read the facts of step j is running. */
static bool is_read(const Machine *m, size_t j)
{
        for (size_t i = 0; i < m->options->n_steps; i++) {
                if ((m->running & STEP_MASK(i)) && (needs_in_depth(m, i) & STEP_MASK(j))) {
                        return true;
                }
        }
        return false;
}

/* Called before the retry of a step. The step acts on facts that its needs may have found long ago:
 * the volume may be attached to another instance by now. So each need whose interval (reprobe_s) is
 * over is probed again, unless a running step may read its facts. */
static void renew_needs(Machine *m, size_t i)
{
        uint64_t needs = needs_in_depth(m, i) & m->done;
        for (size_t j = 0; j < m->options->n_steps; j++) {
                uint64_t old_ms = (uint64_t) machine_step(m, j)->reprobe_s * 1000;
                if ((needs & STEP_MASK(j)) && old_ms > 0 && !is_read(m, j) &&
                    wait_now_ms() - m->contexts[j].done_ms >= old_ms) {
                        step_look_again(m, j);
                }
        }
}

/* Starts the steps that may start now. */
static void start_due(Machine *m)
{
        for (size_t i = 0; i < m->options->n_steps && !m->stopping; i++) {
                if (m->status.steps[i].state == STEP_BACKOFF &&
                    wait_now_ms() >= m->contexts[i].retry_at_ms) {
                        renew_needs(m, i);
                        if (may_begin(m, i)) {
                                step_retry(m, i);
                        } else {
                                step_enter(m, i, STEP_WAITING);
                        }
                }
        }
        for (size_t i = 0; i < m->options->n_steps && !m->stopping; i++) {
                const StepStatus *s = &m->status.steps[i];
                if (s->state != STEP_WAITING || !s->runs_here || !may_begin(m, i)) {
                        continue;
                }
                if (m->contexts[i].begun) {
                        step_retry(m, i);
                } else {
                        step_begin(m, i);
                }
        }
}

static bool is_over(const Machine *m)
{
        if (m->running) {
                return false;
        }
        for (size_t i = 0; i < m->options->n_steps && !m->stopping; i++) {
                if (m->status.steps[i].state == STEP_BACKOFF) {
                        return false;
                }
        }
        return true;
}

static int poll_timeout_ms(const Machine *m, uint64_t alive_at_ms, uint64_t tick_at_ms)
{
        Wait wait = { .deadline_ms = alive_at_ms < tick_at_ms ? alive_at_ms : tick_at_ms };
        for (size_t i = 0; i < m->options->n_steps && !m->stopping; i++) {
                if (m->status.steps[i].state == STEP_BACKOFF &&
                    m->contexts[i].retry_at_ms < wait.deadline_ms) {
                        wait.deadline_ms = m->contexts[i].retry_at_ms;
                }
        }
        return wait.deadline_ms == UINT64_MAX ? -1 : wait_left_ms(&wait);
}

static uint64_t due(unsigned every_ms)
{
        return every_ms ? wait_now_ms() + every_ms : UINT64_MAX;
}

static int machine_loop(Machine *m, Error *err)
{
        const MachineObserver *observer = &m->options->observer;
        unsigned alive_ms = notify_alive_ms(), tick_ms = observer->tick ? observer->tick_ms : 0;
        uint64_t alive_at_ms = due(alive_ms), tick_at_ms = due(tick_ms);
        for (;;) {
                take_results(m);
                if (m->options->mode == MACHINE_PLAN) {
                        mark_unknown(m);
                }
                start_due(m);
                if (is_over(m)) {
                        return 0;
                }
                machine_tell_pause(m);
                struct pollfd fds[] = {
                        { .fd = workers_fd(m->workers), .events = POLLIN },
                        { .fd = m->stopped_on_request ? -1 : m->options->stop_fd,
                          .events = POLLIN },
                };
                if (poll(fds, ELEMENTS(fds), poll_timeout_ms(m, alive_at_ms, tick_at_ms)) < 0 &&
                    errno != EINTR) {
                        int r = error_errno(err, errno, "poll");
                        machine_cancel(m);
                        return r;
                }
                if (fds[1].revents) {
                        m->stopped_on_request = true;
                        machine_cancel(m);
                }
                uint64_t now = wait_now_ms();
                if (now >= alive_at_ms) {
                        notify_alive();
                        alive_at_ms = due(alive_ms);
                }
                if (observer->tick && !m->options->only && now >= tick_at_ms) {
                        observer->tick(&m->status, observer->userdata);
                        tick_at_ms = due(tick_ms);
                }
        }
}

static bool was_ready(const MachineOptions *options)
{
        return options->before &&
               (options->before->phase == PHASE_READY || options->before->phase == PHASE_DEGRADED);
}

/* Returns the phase of a run that failed: "failed" if the daemon ends because of it. Before the
 * machine was ready once, a run by hand that failed is always "failed". */
static Phase failed_phase(const Machine *m)
{
        const Outcome *outcome = outcome_of(&m->error);
        if (was_ready(m->options)) {
                return outcome->after_ready == OUTCOME_ENDS ? PHASE_FAILED : PHASE_DEGRADED;
        }
        return outcome->before_ready == OUTCOME_ENDS || !m->options->resident ? PHASE_FAILED
                                                                              : PHASE_CONVERGING;
}

/* Sets the phase and returns the result of the run, once no step is running. */
static int machine_conclude(Machine *m, Error *err)
{
        FOREACH_ARRAY(step, m->status.steps, m->status.n_steps) {
                step->next_retry_us = 0; /* a step may be in backoff when the run is stopped */
        }
        if (m->stopped_on_request && m->error.class != ERROR_UNSAFE) {
                return error_set(err, ERROR_RETRY, ECANCELED, "stopped on request");
        }
        bool converging = m->options->mode == MACHINE_CONVERGE && !m->options->only;
        if (m->result >= 0 && converging && m->kind == 0) {
                m->result = error_set(&m->error, ERROR_FATAL, EINVAL,
                                      "no step told the kind of this machine");
        }
        if (converging) {
                phase_set(m, m->result >= 0 ? PHASE_READY : failed_phase(m));
        }
        if (m->result < 0) {
                *err = m->error;
        }
        return m->result;
}

static int machine_new(const MachineOptions *options, Machine **ret, Error *err)
{
        if (options->n_steps > STEPS_MAX) {
                return error_set(err, ERROR_FATAL, E2BIG, "%zu steps", options->n_steps);
        }
        Machine *m = calloc(1, sizeof(*m));
        if (!m) {
                return error_oom(err);
        }
        (void) pthread_mutex_init(&m->lock, NULL); /* cannot fail with default attributes */
        _cleanup_(machine_freep) Machine *owned = m;
        m->options = options;
        m->forced = options->force;
        machine_learn_kind(m);
        m->status = (MachineStatus) { .table = options->steps, .n_steps = options->n_steps };
        if (options->before) {
                m->status.phase = options->before->phase;
                m->status.since_us = options->before->since_us;
                if (options->resident) { /* else it was told by another process */
                        memcpy(m->told, options->before->steps, sizeof(m->told));
                }
        } else {
                m->status.since_us = machine_now_us();
        }
        for (size_t i = 0; i < options->n_steps; i++) {
                m->contexts[i] = (StepContext) { .job.run = step_run_job, .machine = m, .id = i };
        }
        m->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (m->stop_fd < 0) {
                return error_errno(err, errno, "make an eventfd");
        }
        int r = workers_new(&m->workers, err);
        if (r < 0) {
                return r;
        }
        *ret = TAKE(owned);
        return 0;
}

int machine_run(const MachineOptions *options, MachineStatus *ret_status, Error *err)
{
        _cleanup_(machine_freep) Machine *m = NULL;
        int r = machine_new(options, &m, err);
        if (!m) {
                if (ret_status) {
                        *ret_status = (MachineStatus) { .table = options->steps,
                                                        .n_steps = options->n_steps };
                }
                return r;
        }
        refresh_waiting(m);
        machine_tell_phase(m);
        machine_tell_pause(m); /* before anything runs: a reader of the state file sees a run */
        r = machine_loop(m, err);
        if (r >= 0) {
                r = machine_conclude(m, err);
        }
        machine_tell_pause(m);
        if (ret_status) {
                *ret_status = m->status;
        }
        return r;
}
