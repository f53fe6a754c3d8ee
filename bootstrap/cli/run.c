/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/confirm.h"
#include "cli/follow.h"
#include "cli/resident.h"
#include "engine/lock.h"
#include "engine/notify.h"
#include "host/http.h"

/* Prints the failure for the person who started the run by hand. The failures of steps were already
 * shown as they happened; this is the last line, with the one that decides. Returns the exit
 * status. */
static ExitStatus run_say(int r, const Error *error)
{
        if (r >= 0) {
                return EXIT_DONE;
        }
        if (r == -ECANCELED) {
                (void) fprintf(stderr, "kube-bootstrap: interrupted; run it again to go on\n");
                return EXIT_CONVERGING;
        }
        (void) fprintf(stderr, "kube-bootstrap: %s\n", error->message);
        return exit_status_from_class(error->class);
}

static ExitStatus refuse_locked(const Run *run, int holder, StateFile *state)
{
        char text[NOTIFY_STATUS_MAX] = "it has not reported a status yet";
        if (runtime_read_state(&run->runtime, state, ERROR_IGNORED) >= 0 && state->pid == holder) {
                notify_text(&state->status, text);
        }
        (void) fprintf(stderr, "kube-bootstrap: another run holds the lock: pid %d: %s\n", holder,
                       text);
        if (!run->arguments->no_follow) {
                (void) fprintf(
                        stderr,
                        "these options need a run of their own: wait for the end of that one "
                        "(kube-bootstrap status --wait), or stop the service (systemctl stop "
                        "kube-bootstrap) and start it again afterwards\n");
        }
        return EXIT_LOCKED;
}

static ExitStatus follow_other(Run *run, int holder)
{
        const Arguments *a = run->arguments;
        Error error = {};
        _cleanup_free_ StateFile *state = malloc(sizeof(*state));
        if (!state) {
                return run_say(error_oom(&error), &error);
        }
        if (a->no_follow || a->force || overrides_any(&a->overrides)) {
                return refuse_locked(run, holder, state);
        }
        (void) fprintf(stderr, "kube-bootstrap: another run is active (pid %d): following it\n",
                       holder);
        const FollowOptions options = {
                .runtime = &run->runtime,
                .holder = holder,
                .progress = &run->progress,
                .wait = { .deadline_ms = UINT64_MAX, .stop_fd = run->signals.stop_fd },
        };
        int r = follow_run(&options, state, &error);
        if (r >= 0 && state->status.phase != PHASE_READY) {
                const StepStatus *decisive = machine_decisive(&state->status);
                if (decisive) {
                        error = decisive->error;
                        r = error_prefix(&error, "%s",
                                         boot_steps[decisive - state->status.steps].name);
                } else {
                        r = error_set(&error, ERROR_FATAL, EIO, "the other run failed");
                }
        }
        return run_say(r, &error);
}

/* Takes over from the state file what the daemon has found, if the daemon lives. This stays valid
 * until this run finds something else. */
static void learn_from_daemon(Run *run)
{
        _cleanup_free_ StateFile *state = malloc(sizeof(*state));
        if (!state || runtime_read_state(&run->runtime, state, ERROR_IGNORED) < 0 ||
            !runtime_is_alive(state->daemon)) {
                return;
        }
        Observer *o = &run->observer;
        o->daemon = state->daemon;
        (void) snprintf(o->instance_id, sizeof(o->instance_id), "%s", state->instance_id);
        (void) snprintf(o->role, sizeof(o->role), "%s", state->role);
        (void) snprintf(o->runtime_name, sizeof(o->runtime_name), "%s", state->runtime);
        run->known = state->status;
        run->was_ready =
                state->status.phase == PHASE_READY || state->status.phase == PHASE_DEGRADED;
}

static ExitStatus run_by_hand(Run *run)
{
        Error error = {};
        int holder = 0;
        _cleanup_lock_ Lock lock = LOCK_INIT;
        int r = lock_try(run->runtime.lock, &lock, &holder, &error);
        if (r == 0) {
                return follow_other(run, holder);
        }
        if (r > 0) {
                learn_from_daemon(run);
                r = converge(run, &error);
        }
        return run_say(r, &error);
}

static ExitStatus run_as_service(Run *run)
{
        Error error = {};
        run->observer.daemon = (int) getpid();
        int r = resident_run(run, &error);
        if (r == -ECANCELED) {
                notify_stopping();
                return EXIT_DONE;
        }
        if (!machine_decisive(&run->status)) { /* a step's failure has its entry already */
                log_error(LOG_ERR, LOG_ID_STEP_FAILED, NULL, 0, &error, "cannot run");
        }
        cfn_report_failed(&run->cfn_report, &run->boot, &error, run->signals.stop_fd);
        notify_stopping();
        return run_say(r, &error); /* on the console, too: it can be read from outside when nobody
                                      can log in */
}

static int prepare(Run *run, Error *err)
{
        if (run->observer.progress && access("/run/systemd/journal/socket", F_OK) < 0 &&
            !log_has_debug()) {
                log_set_max_priority(-1); /* entries would go to the terminal, which shows the same
                                             as progress */
        }
        int r = runtime_init(&run->runtime, err);
        if (r >= 0) {
                r = runtime_make_folder(&run->runtime, err);
        }
        if (r >= 0) {
                r = confirm_overrides(&run->arguments->overrides, err);
        }
        if (r >= 0) { /* after the question, so that Ctrl-C can still end it */
                r = signals_open(run->arguments->resident, &run->signals, err);
        }
        if (r >= 0) {
                r = http_init(err);
                run->has_http = r >= 0;
        }
        return r;
}

static void run_free(Run *run)
{
        step_watch_freep(&run->watch);
        close_fdp(&run->lock_fd);
        boot_done(&run->boot);
        signals_done(&run->signals);
        if (run->has_http) {
                http_done();
        }
        free(run);
}

DEFINE_CLEANUP(Run *, run_free);

ExitStatus cli_run(const Arguments *arguments)
{
        Error error = {};
        _cleanup_(run_freep) Run *run = calloc(1, sizeof(*run));
        if (!run) {
                return run_say(error_oom(&error), &error);
        }
        run->arguments = arguments;
        run->signals = SIGNALS_INIT;
        run->lock_fd = -EBADF;
        progress_init(&run->progress, stdout);
        run->progress.terminal &= !arguments->verbose; /* a redrawn table would hide the trace */
        run->observer = (Observer) { .runtime = &run->runtime,
                                     .boot = &run->boot,
                                     .progress = arguments->resident ? NULL : &run->progress };
        int r = prepare(run, &error);
        if (r == -EPROTO) { /* not confirmed, or nobody to ask */
                (void) fprintf(stderr, "kube-bootstrap: %s\n", error.message);
                return EXIT_USAGE;
        }
        if (r < 0) {
                return run_say(r, &error);
        }
        return arguments->resident ? run_as_service(run) : run_by_hand(run);
}
