/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/observer.h"

#include <unistd.h>

#include "base/log.h"
#include "engine/notify.h"

/* What a step learned may be read once it is done, not before: until then its worker writes it. */
static void learn(Observer *o, const MachineStatus *status, int step)
{
        if (step < 0 || status->steps[step].state != STEP_DONE) {
                return;
        }
        if (step == STEP_CONFIG) {
                o->role = role_to_string(boot_role((void *) (uintptr_t) o->boot));
        } else if (step == STEP_IDENTITY) {
                (void) snprintf(o->instance_id, sizeof(o->instance_id), "%s",
                                o->boot->identity.instance_id);
        }
}

static void write_state(Observer *o, const MachineStatus *status)
{
        const StateFileHead head = { .instance_id = o->instance_id,
                                     .role = o->role ? o->role : "",
                                     .boot_id = o->runtime->boot_id,
                                     .pid = (int) getpid() };
        Error error = { 0 };
        if (state_file_write(o->runtime->state, &head, status, &error) < 0 && !o->state_failed) {
                o->state_failed = true; /* the run does not depend on who reads about it */
                log_error(LOG_WARNING, LOG_ID_NOTIFY, NULL, 0, &error, "status cannot be told");
        }
}

void observer_changed(const MachineStatus *status, int step, void *observer)
{
        Observer *o = observer;
        learn(o, status, step);
        if (step != MACHINE_TICK) {
                write_state(o, status);
                journal_changed(&o->journal, status, o->role, step);
                notify_status(status);
        }
        if (o->progress) {
                progress_changed(o->progress, status, step);
        }
}
