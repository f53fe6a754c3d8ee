/* SPDX-License-Identifier: Apache-2.0 */
/* The table of outcomes, as the manual page and the unit describe it. */
#include "engine/outcome.h"

#include <stdio.h>

#include "base/file.h"
#include "cli/exit_status.h"
#include "harness.h"

#define BOTH 2

/* In the order of issue 12, A.2: what may pass is not final before "ready", and the stack hears of
 * what is final at once. */
static const struct {
        ErrorClass class;
        int source;
        const char *step, *before, *after, *signal;
} expected[] = {
        { ERROR_FATAL, BOTH, "fails", "ends", "again", "never" },
        { ERROR_RETRY, BOTH, "retries", "ends", "again", "never" },
        { ERROR_CONFIG, ERROR_HERE, "fails", "ends", "again", "at once" },
        { ERROR_CONFIG, ERROR_FROM_AWS, "fails", "again", "again", "later" },
        { ERROR_DENIED, BOTH, "fails", "again", "again", "later" },
        { ERROR_UNSAFE, BOTH, "stops all", "ends", "ends", "at once" },
};

static const char *const step_names[] = {
        [OUTCOME_FAILS] = "fails", [OUTCOME_RETRIES] = "retries", [OUTCOME_STOPS_ALL] = "stops all"
};
static const char *const run_names[] = { [OUTCOME_ENDS] = "ends", [OUTCOME_AGAIN] = "again" };
static const char *const signal_names[] = {
        [OUTCOME_NEVER] = "never", [OUTCOME_AT_ONCE] = "at once", [OUTCOME_LATER] = "later"
};

static void test_table(void)
{
        unsigned n = 0;
        FOREACH_ARRAY(row, expected, ELEMENTS(expected)) {
                for (ErrorSource source = 0; source < _ERROR_SOURCE_MAX; source++) {
                        if (row->source != BOTH && row->source != (int) source) {
                                continue;
                        }
                        const Error error = { .class = row->class, .source = source };
                        const Outcome *outcome = outcome_of(&error);
                        CHECK_STR(step_names[outcome->step], row->step);
                        CHECK_STR(run_names[outcome->before_ready], row->before);
                        CHECK_STR(run_names[outcome->after_ready], row->after);
                        CHECK_STR(signal_names[outcome->signal], row->signal);
                        n++;
                }
        }
        CHECK_INT(n, _ERROR_CLASS_MAX * _ERROR_SOURCE_MAX);
}

/* What systemd does not start again is what the stack hears of at once, and a wrong command. */
static void test_unit_agrees(void)
{
        _cleanup_buffer_ Buffer unit = {};
        Error err = {};
        char line[80] = "\nRestartPreventExitStatus=64";
        CHECK_OK(file_read("units/kube-bootstrap.service", 65536, &unit, &err), err);
        for (int status = 1; status < 256; status++) {
                for (ErrorClass class = 0; class < _ERROR_CLASS_MAX; class ++) {
                        const Error error = { .class = class };
                        if (outcome_of(&error)->signal == OUTCOME_AT_ONCE &&
                            (int) exit_status_from_class(class) == status) {
                                size_t used = strlen(line);
                                (void) snprintf(line + used, sizeof(line) - used, " %d", status);
                        }
                }
        }
        (void) strcat(line, "\n");
        CHECK_CONTAINS(unit.data, line);
}

int main(void)
{
        test_case("each class and source", test_table);
        test_case("the unit and the stack agree on what is final", test_unit_agrees);
        return test_done();
}
