/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/follow.h"
#include "cli/signals.h"
#include "cli/text.h"
#include "cli/verbs.h"

static void print_head(const StateFile *state, uint64_t now_us)
{
        size_t in_role = 0, done = 0;
        char duration[TEXT_DURATION_MAX] = "";
        machine_count(&state->status, &in_role, &done);
        if (state->status.since_us && now_us > state->status.since_us) {
                text_duration(now_us - state->status.since_us, duration);
        }
        (void) printf("%s for %s: %s%s%s, %zu of %zu steps done\n",
                      phase_to_string(state->status.phase), duration[0] ? duration : "no time",
                      state->role[0] ? state->role : "role not known yet",
                      state->instance_id[0] ? " " : "", state->instance_id, done, in_role);
        bool ended = state->status.phase == PHASE_READY || state->status.phase == PHASE_FAILED;
        if (!ended && state->pid > 0 && kill(state->pid, 0) < 0 && errno == ESRCH) {
                (void) printf("nobody is at it: process %d ended before it was done\n", state->pid);
        }
}

static void print_json(const StateFile *state)
{
        const StateFileHead head = { .instance_id = state->instance_id,
                                     .role = state->role,
                                     .boot_id = state->boot_id,
                                     .pid = state->pid };
        _cleanup_buffer_ Buffer text = { 0 };
        Error error = { 0 };
        if (state_file_format(&head, &state->status, &text, &error) < 0) {
                (void) fprintf(stderr, "kube-bootstrap: %s\n", error.message);
                return;
        }
        (void) fputs(text.data, stdout);
}

static void print_state(const Arguments *a, const StateFile *state)
{
        bool none = state->pid == 0; /* nothing was written yet */
        uint64_t now = text_now_us();
        if (a->json) {
                print_json(state);
        } else if (none) {
                (void) printf("starting: no run has said anything since this machine booted\n");
        } else {
                print_head(state, now);
                (void) progress_table(stdout, &state->status, now, 0, isatty(STDOUT_FILENO) == 1);
        }
}

/* --wait and --follow: until ready or failed, or the time is over, or a signal came. */
static int wait_for_end(const Arguments *a, const Runtime *runtime, StateFile *state, Error *err)
{
        _cleanup_signals_ Signals signals = SIGNALS_INIT;
        int r = signals_open(false, &signals, err);
        if (r < 0) {
                return r;
        }
        Progress progress;
        progress_init(&progress, stdout);
        const Wait forever = { .deadline_ms = UINT64_MAX, .stop_fd = signals.stop_fd };
        const FollowOptions options = {
                .runtime = runtime,
                .progress = a->follow ? &progress : NULL,
                .wait = wait_part(&forever, a->wait_s ? a->wait_s * UINT64_C(1000) : UINT64_MAX),
        };
        r = follow_run(&options, state, err);
        return r == -ETIMEDOUT || r == -ECANCELED ? 0 : r;
}

static ExitStatus say(const Error *error)
{
        (void) fprintf(stderr, "kube-bootstrap: %s\n", error->message);
        return exit_status_from_class(error->class);
}

ExitStatus cli_status(const Arguments *a)
{
        Error error = { 0 };
        Runtime runtime;
        _cleanup_free_ StateFile *state = calloc(1, sizeof(*state));
        if (!state) {
                (void) error_oom(&error);
                return say(&error);
        }
        int r = runtime_init(&runtime, &error);
        if (r >= 0) {
                r = a->wait || a->follow ? wait_for_end(a, &runtime, state, &error)
                                         : runtime_read_state(&runtime, state, &error);
        }
        if (r < 0 && r != -ENOENT) { /* no file: no run yet */
                return say(&error);
        }
        if (!a->follow) {
                print_state(a, state);
        }
        return exit_status_from_phase(state->status.phase);
}
