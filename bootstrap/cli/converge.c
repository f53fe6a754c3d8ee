/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/converge.h"

#include <errno.h>

MachineOptions converge_options(Run *run)
{
        return (MachineOptions) {
                .steps = boot_steps,
                .n_steps = _BOOT_STEP_MAX,
                .userdata = &run->boot,
                .kind = boot_kind,
                .all_kinds = KIND_ALL,
                .stop_fd = run->signals.stop_fd,
                .observer = observer_of_machine(&run->observer),
        };
}

int converge(Run *run, Error *err)
{
        boot_reset(&run->boot); /* what it knew may no longer be true */
        run->boot.overrides = run->arguments->overrides;
        MachineOptions options = converge_options(run);
        options.force = run->arguments->force;
        options.before = run->known.since_us ? &run->known : NULL;
        options.resident = run->arguments->resident;
        run->observer.before = run->was_ready ? &run->known : NULL;
        int r = machine_run(&options, &run->status, err);
        MachineStatus known = run->status;
        if (run->was_ready) {
                machine_keep(&known, &run->known);
        }
        run->known = known;
        run->was_ready = run->was_ready || r >= 0;
        if (r != -ECANCELED) { /* an interrupted run has no result to tell */
                observer_idle(&run->observer, &run->known);
        }
        return r;
}
