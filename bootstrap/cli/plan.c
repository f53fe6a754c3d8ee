/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/string.h"
#include "cli/signals.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "host/http.h"

static void print_step(const Step *step, const StepStatus *s)
{
        const char *of = s->waiting_for;
        switch (s->state) {
        case STEP_DONE:
                (void) printf("  %-18s already so\n", step->name);
                break;
        case STEP_WOULD_APPLY:
                (void) printf("  %-18s would do: %s%s%s%s\n", step->name, step->makes_true,
                              of[0] ? " (" : "", of, of[0] ? ")" : "");
                break;
        case STEP_FAILED:
                (void) printf("  %-18s cannot tell: %s\n", step->name, s->error.message);
                break;
        case STEP_UNKNOWN:
                if (!step->apply && !of[0]) {
                        (void) printf("  %-18s would wait: %s\n", step->name, step->makes_true);
                } else {
                        (void) printf("  %-18s unknown until %s\n", step->name, of);
                }
                break;
        default: /* interrupted */
                (void) printf("  %-18s not looked at\n", step->name);
                break;
        }
        if (s->warning[0]) {
                (void) printf("  %-18s warning: %s\n", "", s->warning);
        }
}

ExitStatus cli_plan(const Arguments *arguments)
{
        (void) arguments;
        Error error = {};
        _cleanup_signals_ Signals signals = SIGNALS_INIT;
        int r = signals_open(false, &signals, &error);
        if (r >= 0) {
                r = http_init(&error);
        }
        if (r < 0) {
                (void) fprintf(stderr, "kube-bootstrap: %s\n", error.message);
                return exit_status_from_class(error.class);
        }
        _cleanup_boot_ Boot boot = {};
        const MachineOptions options = { .steps = boot_steps,
                                         .n_steps = _BOOT_STEP_MAX,
                                         .userdata = &boot,
                                         .role = boot_role,
                                         .all_roles = ROLE_ALL,
                                         .mode = MACHINE_PLAN,
                                         .stop_fd = signals.stop_fd };
        MachineStatus status;
        r = machine_run(&options, &status, &error);
        for (size_t i = 0; i < status.n_steps; i++) {
                if (status.steps[i].in_role) {
                        print_step(&boot_steps[i], &status.steps[i]);
                }
        }
        http_done();
        if (r == -ECANCELED) {
                return EXIT_CONVERGING;
        }
        return r < 0 ? exit_status_from_class(error.class) : EXIT_DONE;
}
