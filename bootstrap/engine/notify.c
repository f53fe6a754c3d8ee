/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/notify.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/string.h"

/* If an administrator gave the unit a finite start timeout, each notify_alive() extends it to this
 * time from now. notify_alive_ms() is therefore at most half of it. */
#define EXTEND_MS 120000U

static void notify_send(const char *text)
{
        static atomic_bool failed;
        int r = sd_notify(0, text); /* returns 0 if NOTIFY_SOCKET is unset */
        if (r < 0 && !atomic_exchange(&failed, true)) {
                Error error = {};
                (void) error_errno(&error, r, "sd_notify");
                log_error(LOG_WARNING, LOG_ID_NOTIFY, NULL, 0, &error,
                          "cannot report the status to systemd");
        }
}

static bool is_running(const StepStatus *step)
{
        return step->state == STEP_PROBING || step->state == STEP_APPLYING ||
               step->state == STEP_VERIFYING || step->state == STEP_BACKOFF;
}

static bool says_something(const StepStatus *step)
{
        return !isempty(step_why(step)) || !isempty(step->error.message);
}

/* Returns the running step that has a text to show; of several, the one that started first. If no
 * step has a text, returns the running step that started first, or NULL if none is running. */
static const StepStatus *step_to_name(const MachineStatus *status)
{
        const StepStatus *best = NULL;
        FOREACH_ARRAY(step, status->steps, status->n_steps) {
                if (!is_running(step)) {
                        continue;
                }
                bool says = says_something(step), best_says = best && says_something(best);
                if (!best || says > best_says ||
                    (says == best_says && step->started_us < best->started_us)) {
                        best = step;
                }
        }
        return best;
}

void notify_text(const MachineStatus *status, char ret[NOTIFY_STATUS_MAX])
{
        size_t runs_here = 0, done = 0;
        machine_count(status, &runs_here, &done);
        const StepStatus *step = machine_decisive(status);
        if (status->phase == PHASE_READY) {
                (void) snprintf(ret, NOTIFY_STATUS_MAX, "ready; %zu steps done", done);
                return;
        }
        if (!step || (status->phase != PHASE_FAILED && !step->next_retry_us)) {
                step = step_to_name(status);
        }
        if (!step) {
                (void) snprintf(ret, NOTIFY_STATUS_MAX, "%s; %zu of %zu steps done",
                                phase_to_string(status->phase), done, runs_here);
                return;
        }
        const char *what = step_why(step);
        if (isempty(what)) {
                what = step->error.message;
        }
        if (isempty(what)) {
                what = step_state_to_string(step->state);
        }
        (void) snprintf(ret, NOTIFY_STATUS_MAX, "%s%s: %.300s; %zu of %zu steps done",
                        status->phase == PHASE_DEGRADED ? "degraded: " : "",
                        status->table[step - status->steps].name, what, done, runs_here);
}

void notify_status(const MachineStatus *status, const char *trouble, char said[NOTIFY_STATUS_MAX])
{
        char text[NOTIFY_STATUS_MAX], message[NOTIFY_STATUS_MAX + 64];
        if (!getenv("NOTIFY_SOCKET")) {
                return;
        }
        notify_text(status, text);
        if (trouble) {
                size_t used = strlen(text);
                (void) snprintf(text + used, sizeof(text) - used, "; %s", trouble);
        }
        if (streq(text, said)) {
                return;
        }
        memcpy(said, text, sizeof(text));
        for (char *c = text; *c; c++) {
                if (*c == '\n') {
                        *c = ' '; /* a line is an assignment */
                }
        }
        const StepStatus *failed = machine_decisive(status);
        int n = snprintf(message, sizeof(message), "STATUS=%s", text);
        if (n > 0 && status->phase == PHASE_FAILED && failed && failed->error.error > 0) {
                (void) snprintf(message + n, sizeof(message) - (size_t) n, "\nERRNO=%d",
                                failed->error.error);
        }
        notify_send(message);
}

void notify_ready(void)
{
        notify_send("READY=1");
}

void notify_reloading(void)
{
        notify_send("RELOADING=1");
}

void notify_stopping(void)
{
        notify_send("STOPPING=1");
}

void notify_alive(void)
{
        char message[64];
        (void) snprintf(message, sizeof(message), "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=%u000",
                        EXTEND_MS);
        notify_send(message);
}

unsigned notify_alive_ms(void)
{
        if (!getenv("NOTIFY_SOCKET")) {
                return 0;
        }
        uint64_t usec = 0;
        unsigned ms = EXTEND_MS / 2;
        if (sd_watchdog_enabled(0, &usec) > 0 && usec / 2000 < ms) {
                ms = (unsigned) (usec / 2000); /* half, as sd_watchdog_enabled(3) recommends */
        }
        return ms > 0 ? ms : 1;
}
