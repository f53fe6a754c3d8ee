/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/resident.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/follow.h"
#include "cli/text.h"
#include "engine/lock.h"
#include "engine/notify.h"
#include "engine/outcome.h"

/* Steps that are due within this time of each other are probed together. */
#define TOGETHER_MS 1000

/* The pause while a run that has the lock has not written its pid yet. */
#define UNKNOWN_HOLDER_MS 200

static uint64_t alive_part_ms(void)
{
        unsigned ms = notify_alive_ms();
        return ms ? ms : UINT64_MAX;
}

/* Waits until the administrator's run that has the lock is over, but only for a while. Returns 0 in
 * both cases. */
static int resident_wait_for_other(const Run *run, int holder, Error *err)
{
        const Wait wait = { .deadline_ms = UINT64_MAX, .stop_fd = run->signals.stop_fd };
        int r = 0;
        notify_alive();
        if (holder > 0) {
                Wait part = wait_part(&wait, alive_part_ms());
                r = follow_process(holder, &part, err);
        } else {
                r = wait_sleep(&wait, UNKNOWN_HOLDER_MS, err);
        }
        return r == -ETIMEDOUT ? 0 : r;
}

static int converge_alone(Run *run, Error *err)
{
        _cleanup_lock_ Lock lock = LOCK_INIT;
        int last_holder = -1;
        for (;;) {
                int holder = 0;
                int r = lock_try(run->runtime.lock, &lock, &holder, err);
                if (r != 0) {
                        return r < 0 ? r : converge(run, err);
                }
                if (holder != last_holder) {
                        log_write(LOG_INFO, NULL, NULL, 0, "waiting for the run of pid %d", holder);
                        last_holder = holder;
                }
                r = resident_wait_for_other(run, holder, err);
                if (r < 0) {
                        return r;
                }
        }
}

typedef struct Schedule {
        uint64_t due_ms[_BOOT_STEP_MAX]; /* UINT64_MAX: never */
} Schedule;

static void schedule_next(Schedule *s, const MachineStatus *status, uint64_t which)
{
        uint64_t now = wait_now_ms();
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                if (which & STEP_MASK(i)) {
                        const StepStatus *step = &status->steps[i];
                        bool again = step->runs_here && step->state == STEP_DONE &&
                                     boot_steps[i].reprobe_s;
                        s->due_ms[i] = again ? now + (uint64_t) boot_steps[i].reprobe_s * 1000
                                             : UINT64_MAX;
                }
        }
}

static uint64_t schedule_first(const Schedule *s)
{
        uint64_t first = UINT64_MAX;
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                first = s->due_ms[i] < first ? s->due_ms[i] : first;
        }
        return first;
}

static uint64_t schedule_due(const Schedule *s)
{
        uint64_t mask = 0, soon = wait_now_ms() + TOGETHER_MS;
        if (schedule_first(s) > wait_now_ms()) {
                return 0;
        }
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                mask |= s->due_ms[i] <= soon ? STEP_MASK(i) : 0;
        }
        return mask;
}

/* Makes these steps due now, because something has happened to them. A step without a next probe
 * stays so. */
static void schedule_now(Schedule *s, uint64_t mask)
{
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                if ((mask & STEP_MASK(i)) && s->due_ms[i] != UINT64_MAX) {
                        s->due_ms[i] = wait_now_ms();
                }
        }
}

/* Returns true if the state file is still what this process wrote, or if that cannot be known.
 * Otherwise another run has written it since, and what this process knows, and what it told, may be
 * old. */
static bool state_is_ours(const Run *run)
{
        _cleanup_free_ StateFile *state = malloc(sizeof(*state));
        return !state || run->observer.state_failed ||
               (runtime_read_state(&run->runtime, state, ERROR_IGNORED) >= 0 &&
                state->pid == (int) getpid());
}

/* Watches the lock: each other run that releases it, however it ends, is an event of lock_fd. */
static void watch_lock(Run *run)
{
        if (run->lock_fd < 0) {
                run->lock_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        }
        if (run->lock_fd >= 0) { /* without it, other runs are noticed at the next look */
                (void) inotify_add_watch(run->lock_fd, run->runtime.lock, IN_CLOSE_WRITE);
        }
}

/* Returns 1 if no other run came since this process wrote the state, 0 if one did, and -EBUSY
 * during one. */
static int has_last_word(Run *run, Error *err)
{
        Lock lock = LOCK_INIT;
        int holder = 0;
        char events[4096];
        int r = lock_try(run->runtime.lock, &lock, &holder, err);
        lock_release(&lock);
        while (run->lock_fd >= 0 && read(run->lock_fd, events, sizeof(events)) > 0) {
                /* our own lock_try() makes such events; another run is seen by the state file */
        }
        if (r < 0) {
                return r;
        }
        return r == 0 ? -EBUSY : state_is_ours(run);
}

/* Probes the steps that are due. Returns 1 if all hold, 0 if the table must be run again. The lock
 * is not held meanwhile: probes change nothing, and an administrator's run must not wait for
 * them. */
static int resident_look_again(Run *run, uint64_t due, Error *err)
{
        MachineOptions options = converge_options(run);
        options.only = due;
        Error error = {};
        MachineStatus seen;
        int r = machine_run(&options, &seen, &error);
        if (r == -ECANCELED) {
                *err = error;
                return r;
        }
        if (r < 0) {
                log_error(LOG_NOTICE, NULL, NULL, 0, &error, "a periodic probe found a change");
                return 0;
        }
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                if (due & STEP_MASK(i)) {
                        run->known.steps[i].looked_us = seen.steps[i].looked_us;
                }
        }
        observer_idle(&run->observer, &run->known);
        return 1;
}

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* Returns a wait that ends when the idle daemon has something to do, even if nothing happens. */
static Wait idle_wait(Run *run, const Schedule *schedule)
{
        const Wait stop = { .deadline_ms = UINT64_MAX, .stop_fd = run->signals.stop_fd };
        Wait wait = wait_part(&stop, alive_part_ms());
        wait.deadline_ms = least(wait.deadline_ms, schedule_first(schedule));
        wait.deadline_ms = least(wait.deadline_ms, cfn_report_due_ms(&run->cfn_report));
        wait.deadline_ms = least(wait.deadline_ms, run->again_at_ms);
        return wait;
}

/* Waits until the table must be run again. Returns 0, or -ECANCELED when the daemon is asked to
 * end. While an administrator's run has the lock nothing is probed, and after it the table is
 * run. */
static int idle(Run *run, Error *err)
{
        Schedule schedule;
        schedule_next(&schedule, &run->status, UINT64_MAX);
        watch_lock(run);
        for (;;) {
                Wait wait = idle_wait(run, &schedule);
                struct pollfd fds[] = {
                        { .fd = -1 },
                        { .fd = run->signals.reload_fd, .events = POLLIN },
                        { .fd = run->lock_fd, .events = POLLIN },
                        { .fd = -1 },
                        { .fd = -1 },
                };
                if (run->watch) {
                        step_watch_poll(run->watch, fds + 3);
                }
                int r = wait_fds(&wait, fds, ELEMENTS(fds), err);
                if (r < 0) {
                        return r;
                }
                if (signals_take_reload(&run->signals)) {
                        if (run->was_ready) {
                                notify_reloading();
                        }
                        return 0;
                }
                notify_alive();
                if (run->again_at_ms <= wait_now_ms()) {
                        return 0;
                }
                schedule_now(&schedule, run->watch ? step_watch_take(run->watch) : 0);
                cfn_report_send_due(&run->cfn_report, &run->boot, run->signals.stop_fd);
                uint64_t due = schedule_due(&schedule);
                if (due || fds[2].revents) {
                        r = has_last_word(run, err);
                        if (r > 0 && due) {
                                r = resident_look_again(run, due, err);
                        }
                        if (r <= 0 && r != -EBUSY) {
                                return r;
                        }
                        schedule_next(&schedule, &run->status, due);
                }
        }
}

/* Logs when the table is run again, and adds this time to the step whose failure decided. */
static void tell_again(Run *run, uint64_t ms)
{
        char duration[TEXT_DURATION_MAX];
        text_duration(ms * 1000, duration);
        log_write(LOG_NOTICE, NULL, NULL, 0, "all steps are run again in %s", duration);
        const StepStatus *decisive = machine_decisive(&run->status);
        if (decisive) {
                StepStatus *known = &run->known.steps[decisive - run->status.steps];
                known->next_retry_us = text_now_us() + ms * 1000;
                observer_idle(&run->observer, &run->known);
        }
}

/* Plans to run the table again, with pauses that grow, while AWS denies something that is only a
 * warning. IAM may only lag, and the interval of the row is too long for that. */
static void ask_again_where_denied(Run *run)
{
        bool denied = false;
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                denied |= boot_steps[i].denial_is_warning && run->status.steps[i].warning[0];
        }
        run->n_denied = denied ? run->n_denied + 1 : 0;
        if (denied) {
                run->again_at_ms =
                        wait_now_ms() +
                        wait_backoff_ms(boot_again.first_ms, boot_again.max_ms, run->n_denied - 1);
        }
}

/* Returns true if the daemon stays: the machine is ready, or the table is run again. */
static bool stays(Run *run, int r, const Error *error)
{
        run->again_at_ms = UINT64_MAX;
        if (r >= 0) {
                run->n_failed = 0;
                cfn_report_ready(&run->cfn_report);
                ask_again_where_denied(run);
                return true;
        }
        const Outcome *outcome = outcome_of(error);
        OutcomeRun next = run->was_ready ? outcome->after_ready : outcome->before_ready;
        if (r == -ECANCELED || next == OUTCOME_ENDS) {
                return false;
        }
        if (!run->was_ready) {
                cfn_report_refused(&run->cfn_report);
        }
        uint64_t ms = wait_backoff_ms(boot_again.first_ms, boot_again.max_ms, run->n_failed++);
        run->again_at_ms = wait_now_ms() + ms;
        tell_again(run, ms);
        return true;
}

int resident_run(Run *run, Error *err)
{
        run->watch = step_watch_new();
        for (;;) {
                Error error = {};
                int r = converge_alone(run, &error);
                if (!stays(run, r, &error)) {
                        *err = error;
                        return r;
                }
                if (run->was_ready) {
                        notify_ready(); /* the end of a reload, too */
                }
                r = idle(run, err);
                if (r < 0) {
                        return r;
                }
        }
}
