/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "engine/step.h"
#include "harness.h"

#define MASTER 1u
#define NODE   2u
#define BOTH   (MASTER | NODE)

static int nothing(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        (void) context;
        (void) err;
        return 1;
}

#define ROW(text) .name = text, .makes_true = "it", .probe = nothing, .apply = nothing
#define RETRY                              \
        {                                  \
                .first_ms = 1, .max_ms = 2 \
        }

static Error error;

static void test_good_table(void)
{
        const Step steps[] = {
                { ROW("config"), .runs_on = BOTH },
                { ROW("volume"), .runs_on = MASTER, .needs = STEP_MASK(0), .destroys_data = true },
                { ROW("secrets"), .runs_on = BOTH, .needs = STEP_MASK(0) | STEP_MASK(1),
                  .retry = RETRY },
        };
        CHECK_OK(step_table_check(steps, ELEMENTS(steps), BOTH, &error), error);
        CHECK_INT(steps_of(steps, ELEMENTS(steps), NODE), STEP_MASK(0) | STEP_MASK(2));
        CHECK_INT(steps_of(steps, ELEMENTS(steps), MASTER),
                  STEP_MASK(0) | STEP_MASK(1) | STEP_MASK(2));
        CHECK_INT(steps_of(steps, ELEMENTS(steps), 0), /* which is not known */
                  STEP_MASK(0) | STEP_MASK(1) | STEP_MASK(2));
        CHECK_INT(step_find(steps, ELEMENTS(steps), "secrets"), 2);
        CHECK_INT(step_find(steps, ELEMENTS(steps), "secret"), -ENOENT);
        CHECK_INT(step_find(steps, ELEMENTS(steps), NULL), -ENOENT);
}

static void test_faults(void)
{
        const struct {
                const char *message;
                Step second; /* the first is a sound one, for the master alone */
        } cases[] = {
                { "not well-formed", { ROW(""), .runs_on = BOTH } },
                { "not well-formed", { ROW("Volume"), .runs_on = BOTH } },
                { "not well-formed", { ROW("1st"), .runs_on = BOTH } },
                { "not well-formed", { ROW("with space"), .runs_on = BOTH } },
                { "not well-formed",
                  { ROW("a-name-of-more-than-thirty-two-letters"), .runs_on = BOTH } },
                { "twice", { ROW("first"), .runs_on = BOTH } },
                { "what it makes true", { .name = "x", .probe = nothing, .runs_on = BOTH } },
                { "no probe", { .name = "x", .makes_true = "it", .runs_on = BOTH } },
                { "no kind of machine", { ROW("x") } },
                { "unknown one", { ROW("x"), .runs_on = 4 } },
                { "retry policy", { ROW("x"), .runs_on = BOTH, .retry = { .first_ms = 5 } } },
                { "retry policy", { ROW("x"), .runs_on = BOTH, .retry = { 5, 4 } } },
                { "has time to settle", { ROW("x"), .runs_on = BOTH, .settle_s = 1 } },
                { "has time to settle",
                  { .name = "x",
                    .makes_true = "it",
                    .probe = nothing,
                    .runs_on = BOTH,
                    .retry = RETRY,
                    .settle_s = 1 } },
                { "destroys data",
                  { ROW("x"), .runs_on = BOTH, .retry = RETRY, .destroys_data = true } },
                { "destroys data",
                  { .name = "x",
                    .makes_true = "it",
                    .probe = nothing,
                    .runs_on = BOTH,
                    .destroys_data = true } },
                { "needs step 7, which is not there",
                  { ROW("x"), .runs_on = BOTH, .needs = STEP_MASK(7) } },
                { "needs first, which no machine runs beside it",
                  { ROW("x"), .runs_on = NODE, .needs = STEP_MASK(0) } },
                { "needs itself", { ROW("x"), .runs_on = BOTH, .needs = STEP_MASK(1) } },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                const Step steps[] = { { ROW("first"), .runs_on = MASTER }, c->second };
                error = (Error) {};
                CHECK(step_table_check(steps, 2, BOTH, &error) < 0);
                CHECK_INT(error.class, ERROR_FATAL);
                CHECK_CONTAINS(error.message, c->message);
        }
        CHECK(step_table_check(NULL, 0, BOTH, &error) < 0);
}

static void test_longer_cycle(void)
{
        const Step steps[] = { { ROW("a"), .runs_on = BOTH, .needs = STEP_MASK(2) },
                               { ROW("b"), .runs_on = BOTH, .needs = STEP_MASK(0) },
                               { ROW("c"), .runs_on = BOTH, .needs = STEP_MASK(1) } };
        CHECK_INT(step_table_check(steps, 3, BOTH, &error), -ELOOP);
}

static void test_names(void)
{
        for (StepState state = 0; state < _STEP_STATE_MAX; state++) {
                CHECK_INT(step_state_from_string(step_state_to_string(state)), state);
        }
        CHECK_INT(step_state_from_string("no-state"), _STEP_STATE_INVALID);
        CHECK_INT(step_state_from_string(NULL), _STEP_STATE_INVALID);
        CHECK_STR(step_state_to_string(_STEP_STATE_MAX), "invalid");
        CHECK_STR(step_state_to_string(_STEP_STATE_INVALID), "invalid");
}

int main(void)
{
        test_case("a sound table", test_good_table);
        test_case("each fault of a table is named", test_faults);
        test_case("a cycle through three rows", test_longer_cycle);
        test_case("names of states", test_names);
        return test_done();
}
