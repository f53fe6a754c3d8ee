/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/string.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "engine/state_file.h"
#include "host/http.h"

static void print_step(const Step *step, const StepStatus *s)
{
        const char *why = step_why(s);
        switch (s->state) {
        case STEP_DONE:
                (void) printf("  %-19s already so\n", step->name);
                break;
        case STEP_WOULD_APPLY:
                (void) printf("  %-19s would do: %s", step->name, step->makes_true);
                if (why[0]) {
                        (void) printf(" (%s)", why);
                }
                (void) printf("\n");
                break;
        case STEP_FAILED:
                (void) printf("  %-19s cannot tell: %s\n", step->name, s->error.message);
                break;
        case STEP_UNKNOWN:
                if (!step->apply && !s->waiting_for[0]) {
                        (void) printf("  %-19s would wait: %s\n", step->name, step->makes_true);
                } else {
                        (void) printf("  %-19s unknown until %s\n", step->name, s->waiting_for);
                }
                break;
        default: /* interrupted */
                (void) printf("  %-19s not looked at\n", step->name);
                break;
        }
        if (s->warning[0]) {
                (void) printf("  %-19s warning: %s\n", "", s->warning);
        }
}

/* Prints the plan in the form of the state file. It names no process, and no file is written. */
static int plan_print_json(Boot *boot, const MachineStatus *status, Error *err)
{
        StateFileHead head = {
                .instance_id = boot->identity.instance_id, .role = "", .runtime = "", .boot_id = ""
        };
        if (boot->config_known) {
                head.role = role_to_string(boot->config.role);
                head.runtime = container_runtime_to_string(boot->images.runtime);
        }
        _cleanup_buffer_ Buffer text = {};
        int r = state_file_format(&head, status, &text, err);
        if (r >= 0) {
                (void) fputs(text.data, stdout);
        }
        return r;
}

static void print_steps(const MachineStatus *status)
{
        for (size_t i = 0; i < status->n_steps; i++) {
                if (status->steps[i].runs_here) {
                        print_step(&boot_steps[i], &status->steps[i]);
                }
        }
}

/* Returns true if a run would find something to do, or to wait for. */
static bool would_change(const MachineStatus *status)
{
        size_t runs_here = 0, done = 0;
        machine_count(status, &runs_here, &done);
        return done < runs_here;
}

static ExitStatus plan_say(const Error *error)
{
        (void) fprintf(stderr, "kube-bootstrap: %s\n", error->message);
        return exit_status_from_class(error->class);
}

ExitStatus cli_plan(const Arguments *arguments)
{
        Error error = {};
        _cleanup_signals_ Signals signals = SIGNALS_INIT;
        int r = signals_open(false, &signals, &error);
        if (r >= 0) {
                r = http_init(&error);
        }
        if (r < 0) {
                return plan_say(&error);
        }
        _cleanup_boot_ Boot boot = {};
        const MachineOptions options = { .steps = boot_steps,
                                         .n_steps = _BOOT_STEP_MAX,
                                         .userdata = &boot,
                                         .kind = boot_kind,
                                         .all_kinds = KIND_ALL,
                                         .mode = MACHINE_PLAN,
                                         .stop_fd = signals.stop_fd };
        MachineStatus status;
        Error unsaid = {};
        r = machine_run(&options, &status, &error);
        if (!arguments->json) {
                print_steps(&status);
        } else if (plan_print_json(&boot, &status, &unsaid) < 0) {
                http_done();
                return plan_say(&unsaid);
        }
        http_done();
        if (r == -ECANCELED) {
                return EXIT_INTERRUPTED;
        }
        if (r < 0) {
                return exit_status_from_class(error.class);
        }
        return would_change(&status) ? EXIT_CONVERGING : EXIT_DONE;
}
