/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/observer.h"

#include <unistd.h>

#include "base/log.h"
#include "base/string.h"

/* Copies the facts of a step that is done. Before that, the step's worker may be writing them. */
static void observer_learn(Observer *o, const StepChange *change)
{
        if (change->after->state != STEP_DONE) {
                return;
        }
        if (change->step == BOOT_CONFIG) {
                (void) snprintf(o->role, sizeof(o->role), "%s",
                                role_to_string(o->boot->config.role));
                (void) snprintf(o->runtime_name, sizeof(o->runtime_name), "%s",
                                container_runtime_to_string(o->boot->images.runtime));
        } else if (change->step == BOOT_IDENTITY) {
                (void) snprintf(o->instance_id, sizeof(o->instance_id), "%s",
                                o->boot->identity.instance_id);
        }
}

/* Writes the state file and systemd's status line. A run must not depend on its state file. If the
 * file cannot be written, a warning is logged once, and systemd's status line has the error. */
static void tell(Observer *o, const MachineStatus *status, bool running)
{
        const StateFileHead head = { .instance_id = o->instance_id,
                                     .role = o->role,
                                     .runtime = o->runtime_name,
                                     .boot_id = o->runtime->boot_id,
                                     .pid = (int) getpid(),
                                     .daemon = o->daemon,
                                     .running = running };
        Error error = {};
        bool failed = state_file_write(o->runtime->state, &head, status, &error) < 0;
        if (failed && !o->state_failed) {
                log_error(LOG_WARNING, LOG_ID_NOTIFY, NULL, 0, &error, "cannot publish the status");
        }
        o->state_failed = failed;
        notify_status(status, failed ? error.message : NULL, o->notified);
}

void observer_idle(Observer *o, const MachineStatus *status)
{
        tell(o, status, false);
}

/* Tells what a run finds, and of the rest what an earlier run found. */
static void observer_pause(const MachineStatus *status, void *userdata)
{
        Observer *o = userdata;
        MachineStatus told = *status;
        if (o->before) {
                machine_keep(&told, o->before);
        }
        tell(o, &told, true);
}

static const char *role_of(const Observer *o)
{
        return isempty(o->role) ? NULL : o->role;
}

static void observer_step(const MachineStatus *status, const StepChange *change, void *userdata)
{
        Observer *o = userdata;
        observer_learn(o, change);
        journal_step(status, change, role_of(o));
        if (o->progress) {
                progress_step(o->progress, status, change);
        }
}

static void observer_phase(const MachineStatus *status, void *userdata)
{
        const Observer *o = userdata;
        journal_phase(status, role_of(o));
        if (o->progress) {
                progress_phase(o->progress, status);
        }
}

static void observer_tick(const MachineStatus *status, void *userdata)
{
        const Observer *o = userdata;
        progress_tick(o->progress, status);
}

MachineObserver observer_of_machine(Observer *observer)
{
        return (MachineObserver) { .step = observer_step,
                                   .phase = observer_phase,
                                   .pause = observer_pause,
                                   .tick = observer_tick,
                                   .tick_ms = progress_tick_ms(observer->progress),
                                   .userdata = observer };
}
