/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/observer.h"

#include <unistd.h>

#include "base/log.h"
#include "base/string.h"
#include "engine/notify.h"

/* What a step learned may be read once it is done, not before: until then its worker writes it. */
static void learn(Observer *o, const MachineStatus *status, int step)
{
        if (step < 0 || status->steps[step].state != STEP_DONE) {
                return;
        }
        if (step == BOOT_CONFIG) {
                (void) snprintf(o->role, sizeof(o->role), "%s",
                                role_to_string(boot_role((void *) (uintptr_t) o->boot)));
        } else if (step == BOOT_IDENTITY) {
                (void) snprintf(o->instance_id, sizeof(o->instance_id), "%s",
                                o->boot->identity.instance_id);
        }
}

/* Writes the state file and systemd's status line. A run does not depend on who reads about it, so
 * a file that cannot be written is a warning, once, and a word in the other place. */
static void tell(Observer *o, const MachineStatus *status, bool running)
{
        const StateFileHead head = { .instance_id = o->instance_id,
                                     .role = o->role,
                                     .boot_id = o->runtime->boot_id,
                                     .pid = (int) getpid(),
                                     .daemon = o->daemon,
                                     .running = running };
        Error error = {};
        bool failed = state_file_write(o->runtime->state, &head, status, &error) < 0;
        if (failed && !o->state_failed) {
                log_error(LOG_WARNING, LOG_ID_NOTIFY, NULL, 0, &error, "status cannot be told");
        }
        o->state_failed = failed;
        notify_status(status, failed ? error.message : NULL);
}

void observer_idle(Observer *o, const MachineStatus *status)
{
        tell(o, status, false);
}

void observer_changed(const MachineStatus *status, int step, void *observer)
{
        Observer *o = observer;
        learn(o, status, step);
        if (step != MACHINE_TICK) {
                MachineStatus told = *status;
                if (o->before) {
                        machine_keep(&told, o->before);
                }
                tell(o, &told, true);
                journal_changed(&o->journal, status, isempty(o->role) ? NULL : o->role, step);
        }
        if (o->progress) {
                progress_changed(o->progress, status, step);
        }
}
