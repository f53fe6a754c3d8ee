/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/follow.h"
#include "cli/signals.h"
#include "cli/text.h"
#include "cli/verbs.h"

/* A probe is old after three times its step's interval, but never sooner than this: probes of other
 * steps, which take a minute at most, may have delayed it. */
#define LOOK_OLD_S 120

static uint64_t age_us(uint64_t then_us, uint64_t now_us)
{
        return now_us > then_us ? now_us - then_us : 0;
}

/* Returns the step whose last probe is the oldest of those that are too old, or NULL. */
static const StepStatus *find_old_look(const StateFile *state, uint64_t now_us)
{
        const StepStatus *oldest = NULL;
        for (size_t i = 0; i < state->status.n_steps; i++) {
                const StepStatus *s = &state->status.steps[i];
                uint64_t old_s = (uint64_t) boot_steps[i].reprobe_s * 3;
                old_s = old_s > LOOK_OLD_S ? old_s : LOOK_OLD_S;
                if (s->runs_here && boot_steps[i].reprobe_s && s->looked_us &&
                    age_us(s->looked_us, now_us) > old_s * 1000000 &&
                    (!oldest || s->looked_us < oldest->looked_us)) {
                        oldest = s;
                }
        }
        return oldest;
}

static ExitStatus exit_status_of(const StateFile *state)
{
        bool doubtful = runtime_is_abandoned(state) || find_old_look(state, text_now_us());
        return state->status.phase == PHASE_READY && doubtful
                       ? EXIT_DEGRADED
                       : exit_status_from_phase(state->status.phase);
}

/* Prints "last looked 12 min 03 s ago", or nothing if there was no probe. */
static void print_looked(const char *before, uint64_t looked_us, uint64_t now_us, const char *after)
{
        char duration[TEXT_DURATION_MAX];
        text_duration(age_us(looked_us, now_us), duration);
        if (looked_us) {
                (void) printf("%s looked %s ago%s", before, duration, after);
        }
}

/* Prints why the state that was seen last may no longer be true. */
static void print_doubt(const StateFile *state, uint64_t now_us)
{
        const MachineStatus *status = &state->status;
        const StepStatus *old = find_old_look(state, now_us);
        if (runtime_is_abandoned(state)) {
                (void) printf("the daemon is not running (kube-bootstrap.service)");
                print_looked(": last", machine_looked_us(status), now_us, "");
                (void) printf("; the status at that time:\n");
        } else if (status->phase == PHASE_READY && old) {
                (void) printf("%s:", boot_steps[old - status->steps].name);
                print_looked(" last", old->looked_us, now_us,
                             ", which is too long (systemctl status kube-bootstrap); the "
                             "status at that time:\n");
        }
}

static void print_head(const StateFile *state, uint64_t now_us)
{
        const MachineStatus *status = &state->status;
        size_t runs_here = 0, done = 0;
        uint64_t looked_us = machine_looked_us(status);
        char duration[TEXT_DURATION_MAX];
        machine_count(status, &runs_here, &done);
        text_duration(age_us(status->since_us, runtime_is_abandoned(state) ? looked_us : now_us),
                      duration);
        print_doubt(state, now_us);
        const char *role = state->role[0] ? state->role : "role not known yet";
        const char *with = state->runtime[0] ? " with " : "";
        (void) printf("%s for %s: %s%s%s%s%s, %zu of %zu steps done",
                      phase_to_string(status->phase), duration, role,
                      state->instance_id[0] ? " " : "", state->instance_id, with, state->runtime,
                      done, runs_here);
        print_looked(",", looked_us, now_us, "");
        (void) puts("");
}

static void status_print_json(const StateFile *state)
{
        const StateFileHead head = { .instance_id = state->instance_id,
                                     .role = state->role,
                                     .runtime = state->runtime,
                                     .boot_id = state->boot_id,
                                     .pid = state->pid,
                                     .daemon = state->daemon,
                                     .running = state->running };
        _cleanup_buffer_ Buffer text = {};
        Error error = {};
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
                status_print_json(state);
        } else if (none) {
                (void) printf("starting: no run has reported a status since this machine booted\n");
        } else {
                print_head(state, now);
                (void) progress_table(stdout, &state->status, now, 0, isatty(STDOUT_FILENO) == 1);
        }
}

/* Waits for --wait and --follow until the machine is ready or has failed, the time is over, or a
 * signal came. */
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
        uint64_t wait_ms = a->wait_s ? a->wait_s * UINT64_C(1000) : UINT64_MAX;
        const FollowOptions options = {
                .runtime = runtime,
                .progress = a->follow ? &progress : NULL,
                .wait = wait_part(&forever, wait_ms),
        };
        r = follow_run(&options, state, err);
        return r == -ETIMEDOUT || r == -ECANCELED ? 0 : r;
}

static ExitStatus status_say(const Error *error)
{
        (void) fprintf(stderr, "kube-bootstrap: %s\n", error->message);
        return exit_status_from_class(error->class);
}

ExitStatus cli_status(const Arguments *a)
{
        Error error = {};
        Runtime runtime;
        _cleanup_free_ StateFile *state = calloc(1, sizeof(*state));
        if (!state) {
                (void) error_oom(&error);
                return status_say(&error);
        }
        int r = runtime_init(&runtime, &error);
        if (r >= 0) {
                r = a->wait || a->follow ? wait_for_end(a, &runtime, state, &error)
                                         : runtime_read_state(&runtime, state, &error);
        }
        if (r < 0 && r != -ENOENT) { /* no file: no run yet */
                return status_say(&error);
        }
        if (!a->follow) {
                print_state(a, state);
        }
        return exit_status_of(state);
}
