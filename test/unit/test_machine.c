/* SPDX-License-Identifier: Apache-2.0 */
/* The engine over tables of fakes: a world in which each step is so or not, and each function does
 * as the case says. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "engine/machine.h"
#include "harness.h"

#define BOTH 3u

typedef struct Fake {
        atomic_int so; /* what the probe says */
        atomic_int probes, applies;
        unsigned probe_ms, apply_ms;  /* how long they take, unless stopped */
        int probe_fails, apply_fails; /* the first n times: with `class` */
        int verify_fails;             /* the first n times that it is probed after it was applied */
        ErrorClass class;
        bool apply_changes_nothing;
        const char *waiting_for, *reason, *warning;
        atomic_ullong began_ms, ended_ms;
        void (*when_probed)(int n);
} Fake;

static Fake fakes[8];

/* The world moves when a step is probed the second time. */
static void lose_first(int n)
{
        if (n == 1) {
                fakes[0].so = 0;
                fakes[1].probe_fails = 0;
        }
}

/* The third probe begins late, and is cut before it says anything. */
static void dawdle(int n)
{
        if (n == 2) {
                Wait wait = test_patience();
                fakes[0].waiting_for = NULL;
                (void) wait_sleep(&wait, 1100, ERROR_IGNORED);
        }
}

static void refuse_second(int n)
{
        if (n == 1) {
                fakes[0].probe_fails = 2;
        }
}
static atomic_uint known_role;
static atomic_int n_running, most_running;

static void count_in(void)
{
        int now = atomic_fetch_add(&n_running, 1) + 1, most = atomic_load(&most_running);
        while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now)) {}
}

static int fake_probe(Fake *f, StepContext *context, Error *err)
{
        int n = atomic_fetch_add(&f->probes, 1);
        if (f->when_probed) {
                f->when_probed(n);
        }
        if (n == 0) {
                f->began_ms = wait_now_ms();
        }
        if (f->waiting_for) {
                step_waiting_for(context, "%s", f->waiting_for);
        }
        if (f->warning) {
                step_warn(context, "%s", f->warning);
                step_warn(context, "and more");
                step_warn(context, "%s", f->warning); /* told already */
        }
        count_in();
        int r = wait_sleep(step_wait(context), f->probe_ms, err);
        atomic_fetch_sub(&n_running, 1);
        if (r < 0) {
                return r;
        }
        if (n < f->probe_fails || (f->applies && f->verify_fails-- > 0)) {
                return error_set(err, f->class, ECONNREFUSED, "probe refused");
        }
        if (f->reason && !f->so) {
                step_not_yet(context, "%s", f->reason);
        }
        f->ended_ms = wait_now_ms();
        return f->so;
}

static int fake_apply(Fake *f, StepContext *context, Error *err)
{
        int n = atomic_fetch_add(&f->applies, 1);
        count_in();
        int r = wait_sleep(step_wait(context), f->apply_ms, err);
        atomic_fetch_sub(&n_running, 1);
        if (r < 0) {
                return r;
        }
        if (n < f->apply_fails) {
                return error_set(err, f->class, EPERM, "apply refused");
        }
        f->so = f->apply_changes_nothing ? f->so : 1;
        return 0;
}

#define FAKE(i)                                                 \
        static int probe_##i(void *u, StepContext *c, Error *e) \
        {                                                       \
                (void) u;                                       \
                return fake_probe(&fakes[i], c, e);             \
        }                                                       \
        static int apply_##i(void *u, StepContext *c, Error *e) \
        {                                                       \
                (void) u;                                       \
                return fake_apply(&fakes[i], c, e);             \
        }
FAKE(0)
FAKE(1)
FAKE(2)
FAKE(3)

#define ROW_OF(role, i, text) \
        .name = text, .makes_true = text, .probe = probe_##i, .apply = apply_##i, .runs_on = role
#define ROW(i, text) ROW_OF(BOTH, i, text)
#define QUICK                              \
        {                                  \
                .first_ms = 2, .max_ms = 8 \
        }

static unsigned fake_role(void *userdata)
{
        (void) userdata;
        return known_role;
}

/* What the observer saw, as "step:state" words. */
static char seen[4096];
static atomic_uint n_ticks;
static unsigned n_errors, n_said;

static void see_step(const MachineStatus *status, const StepChange *change, void *userdata)
{
        (void) userdata;
        size_t used = strlen(seen);
        CHECK(change->after == &status->steps[change->step]);
        n_errors += step_change_has_error(change);
        n_said += step_change_says(change);
        (void) snprintf(seen + used, sizeof(seen) - used, "%s:%s ",
                        status->table[change->step].name,
                        step_state_to_string(change->after->state));
}

static void see_phase(const MachineStatus *status, void *userdata)
{
        (void) userdata;
        size_t used = strlen(seen);
        (void) snprintf(seen + used, sizeof(seen) - used, "%s ", phase_to_string(status->phase));
}

/* At a pause: how often, how long `seen` was, and what was told of all steps together. */
static atomic_uint n_pauses;
static size_t seen_at_pause;
static MachineStatus status_at_pause;

static void see_pause(const MachineStatus *status, void *userdata)
{
        (void) userdata;
        CHECK(strlen(seen) > seen_at_pause); /* nothing is told twice */
        seen_at_pause = strlen(seen);
        status_at_pause = *status;
        n_pauses++;
}

static void see_tick(const MachineStatus *status, void *userdata)
{
        (void) status;
        (void) userdata;
        n_ticks++;
}

static MachineStatus status;
static Error error;

static void reset(void)
{
        memset(fakes, 0, sizeof(fakes));
        known_role = 1;
        most_running = 0;
        seen[0] = '\0';
        n_ticks = n_pauses = 0;
        seen_at_pause = 0;
        n_errors = n_said = 0;
        error = (Error) {};
}

static MachineOptions options_for(const Step *steps, size_t n)
{
        return (MachineOptions) {
                .steps = steps,
                .n_steps = n,
                .kind = fake_role,
                .all_kinds = BOTH,
                .stop_fd = -1,
                .observer = { .step = see_step, .phase = see_phase, .tick = see_tick }
        };
}

static int run(const Step *steps, size_t n)
{
        MachineOptions options = options_for(steps, n);
        return machine_run(&options, &status, &error);
}

static void test_probe_apply_probe(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK },
                               { ROW(1, "b"), .retry = QUICK, .needs = STEP_MASK(0) } };
        reset();
        fakes[1].so = 1;
        CHECK_OK(run(steps, 2), error);
        CHECK_STR(seen, "starting a:probing a:applying converging a:verifying a:done b:probing "
                        "b:done ready ");
        CHECK_INT(fakes[0].probes, 2);
        CHECK_INT(fakes[0].applies, 1);
        CHECK_INT(fakes[1].applies, 0);
        CHECK_INT(status.phase, PHASE_READY);
        CHECK_INT(status.steps[0].attempts, 1);
        CHECK(status.steps[0].started_us && status.steps[0].finished_us);
        CHECK(fakes[1].began_ms >= fakes[0].ended_ms);
}

static void test_side_by_side(void)
{
        const Step steps[] = { { ROW(0, "a") },
                               { ROW(1, "b") },
                               { ROW(2, "c") },
                               { ROW(3, "d"), .needs = STEP_MASK(0) | STEP_MASK(1) } };
        reset();
        for (size_t i = 0; i < 4; i++) {
                fakes[i].so = 1;
                fakes[i].probe_ms = i == 3 ? 0 : 60;
        }
        CHECK_OK(run(steps, 4), error);
        CHECK_INT(most_running, 3);
}

static void test_retry(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK } };
        reset();
        fakes[0].probe_fails = 2;
        fakes[0].apply_fails = 3;
        fakes[0].class = ERROR_RETRY;
        CHECK_OK(run(steps, 1), error);
        CHECK_INT(fakes[0].applies, 4);
        CHECK_INT(status.steps[0].attempts, 4);
        CHECK_INT(status.steps[0].error.class, 0);
        CHECK_STR(status.steps[0].error.message, "");
        CHECK_CONTAINS(seen, "a:backoff");
        CHECK_CONTAINS(seen, "converging");
}

/* b goes on failing until a, of which its rows say that it does not stay so for longer than a
 * second, was looked at again; and a is no longer so by then. c is done, and left alone. */
static void test_needs_are_renewed(void)
{
        const Step steps[] = {
                { ROW(0, "a"), .reprobe_s = 1 },
                { ROW(2, "c"), .needs = 1 },
                { ROW(1, "b"), .needs = 3, .retry = { 20, 40 }, .deadline_s = 30 },
        };
        reset();
        fakes[1].class = ERROR_RETRY;
        fakes[1].probe_fails = INT_MAX;
        fakes[0].so = 1;
        fakes[0].when_probed = lose_first;
        CHECK_OK(run(steps, 3), error);
        CHECK(fakes[0].probes >= 3); /* so; no longer so; applied */
        CHECK_INT(fakes[0].applies, 1);
        CHECK_INT(fakes[2].probes, 2); /* and verified */
        CHECK_CONTAINS(seen, "b:backoff a:waiting b:waiting a:probing a:applying a:verifying "
                             "a:done b:probing");
}

/* Without data: what a need has lost for good is its failure, and what depends on it ends there. */
static void test_needs_that_are_lost(void)
{
        const Step steps[] = {
                { ROW(0, "a"), .reprobe_s = 1 },
                { ROW(1, "b"), .needs = 1, .retry = { 20, 40 }, .deadline_s = 30 },
        };
        reset();
        fakes[1].class = ERROR_RETRY;
        fakes[1].probe_fails = INT_MAX;
        fakes[0].so = 1;
        fakes[0].class = ERROR_UNSAFE;
        fakes[0].when_probed = refuse_second;
        CHECK(run(steps, 2) < 0);
        CHECK_INT(error.class, ERROR_UNSAFE);
        CHECK_STR(error.message, "a: probe refused");
        CHECK_INT(fakes[1].applies, 0);
}

static void test_verify_not_yet(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK, .deadline_s = 1 } };
        reset();
        fakes[0].apply_changes_nothing = true;
        fakes[0].waiting_for = "the unit to start";
        uint64_t before = wait_now_ms();
        int r = run(steps, 1);
        CHECK(r == -EAGAIN ||
              r == -ETIMEDOUT); /* the deadline comes between two looks, or in one */
        uint64_t took = wait_now_ms() - before;
        CHECK(took >= 1000 && took < TEST_CUT_SHORT_MS);
        CHECK(fakes[0].applies > 2);
        CHECK_INT(error.class, ERROR_RETRY);
        CHECK_STR(error.message, r == -EAGAIN
                                         ? "a: gave up after 1 s: applied, but still not so: "
                                           "waited for the unit to start"
                                         : "a: gave up after 1 s: waited for the unit to start");
        CHECK_INT(status.phase, PHASE_FAILED);
        CHECK_INT(status.steps[0].state, STEP_FAILED);

        reset();
        fakes[0].apply_changes_nothing = true;
        fakes[0].waiting_for = "the unit to start";
        fakes[0].when_probed = dawdle;
        CHECK_INT(run(steps, 1), -EAGAIN);
        CHECK_STR(error.message,
                  "a: gave up after 1 s: applied, but still not so: waited for the unit to start");
}

/* Each attempt brings the same texts back: they are told once. */
static void test_news(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK } };
        reset();
        fakes[0].apply_fails = 3;
        fakes[0].class = ERROR_RETRY;
        fakes[0].waiting_for = "the unit to start";
        fakes[0].reason = "it is inactive";
        CHECK_OK(run(steps, 1), error);
        CHECK_INT(fakes[0].applies, 4);
        CHECK_INT(n_errors, 1);
        CHECK(n_said <= 3); /* what it waits for and why may come together */

        /* and in a next run, until it is done */
        MachineStatus first = status;
        MachineOptions options = options_for(steps, 1);
        options.before = &first;
        options.resident = true;
        first.steps[0].state = STEP_FAILED;
        (void) error_set(&first.steps[0].error, ERROR_RETRY, EPERM, "apply refused");
        reset();
        fakes[0].apply_fails = 1;
        fakes[0].class = ERROR_RETRY;
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_INT(n_errors, 0);

        reset();
        first = status;
        fakes[0].apply_fails = 1;
        fakes[0].class = ERROR_RETRY;
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_INT(n_errors, 1);

        /* nor is its end by the deadline, which only adds to the error */
        StepStatus told = { .state = STEP_BACKOFF }, now = { .state = STEP_FAILED };
        (void) error_set(&told.error, ERROR_RETRY, EPERM, "apply refused");
        (void) error_set(&now.error, ERROR_RETRY, EPERM, "gave up after 9 s: apply refused");
        step_remember(&told, &now);
        CHECK_STR(told.error.message, "apply refused");
        CHECK_INT(told.state, STEP_FAILED);
}

/* What was applied takes effect at the tenth look after it. */
static void take_effect(int n)
{
        fakes[0].so = n >= 10;
}

static void test_settle(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK, .settle_s = 30, .deadline_s = 60 } };
        reset();
        fakes[0].apply_changes_nothing = true;
        fakes[0].reason = "not there yet";
        fakes[0].when_probed = take_effect;
        CHECK_OK(run(steps, 1), error);
        CHECK_INT(fakes[0].applies, 1);
        CHECK_INT(fakes[0].probes, 11);
        /* told once while it settles: the reason stays the same */
        CHECK_STR(seen, "starting a:probing a:applying converging a:verifying a:verifying a:done "
                        "ready ");
        CHECK_STR(status.steps[0].reason, "");
}

static void test_settled_not(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK, .settle_s = 1, .deadline_s = 2 } };
        reset();
        fakes[0].apply_changes_nothing = true;
        fakes[0].reason = "not there yet";
        int r = run(steps, 1);
        CHECK(r == -EAGAIN || r == -ETIMEDOUT); /* as in test_verify_not_yet() */
        CHECK_STR(error.message,
                  r == -EAGAIN ? "a: gave up after 2 s: applied, but still not so: not there yet"
                               : "a: gave up after 2 s: not there yet");
        CHECK(fakes[0].applies >= 1 && fakes[0].applies <= 2); /* not at each look */
        CHECK(fakes[0].probes > 20);
}

/* An apply that waits. */
static atomic_int looks_until;
static int looks_seen[4];
static unsigned await_limit_s;
static int await_result; /* the first one */

static int look(void *userdata, StepContext *context, Error *err)
{
        (void) err;
        CHECK(userdata == &looks_until);
        unsigned n = step_looks(context);
        looks_seen[n < ELEMENTS(looks_seen) ? n : ELEMENTS(looks_seen) - 1]++;
        step_look_soon(context);
        step_waiting_for(context, "look %u", n);
        return (int) n >= looks_until ? 1 : 0;
}

static int apply_await(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        const StepRetry every = { .first_ms = 4, .max_ms = 10000 }; /* soon each time */
        int r = step_await(context, look, &looks_until, every, await_limit_s, err);
        await_result = await_result == INT_MIN ? r : await_result;
        fakes[0].so = r > 0;
        return r < 0 ? r : 0;
}

static void test_await(void)
{
        const Step steps[] = { { .name = "a",
                                 .makes_true = "a",
                                 .probe = probe_0,
                                 .apply = apply_await,
                                 .runs_on = BOTH,
                                 .retry = QUICK,
                                 .deadline_s = 2 } };
        reset();
        await_result = INT_MIN;
        looks_until = 2;
        CHECK_OK(run(steps, 1), error);
        CHECK_INT(await_result, 1);
        for (unsigned i = 0; i < ELEMENTS(looks_seen); i++) {
                CHECK_INT(looks_seen[i], i < 3 ? 1 : 0);
        }

        reset();
        await_result = INT_MIN;
        looks_until = INT_MAX;
        await_limit_s = 1;
        CHECK(run(steps, 1) < 0);
        CHECK_INT(await_result, 0); /* its own limit is over, the step's is not */
        CHECK(looks_seen[3] > 40);  /* with growing pauses some ten, twice */

        reset();
        await_result = INT_MIN;
        await_limit_s = 0;
        CHECK_INT(run(steps, 1), -ETIMEDOUT);
        CHECK_INT(await_result, -ETIMEDOUT);
        CHECK_CONTAINS(error.message, "a: gave up after 2 s: waited for look ");
}

static void test_deadline_cuts_a_wait(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK, .deadline_s = 1 } };
        reset();
        fakes[0].probe_ms = 30000;
        uint64_t before = wait_now_ms();
        CHECK_INT(run(steps, 1), -ETIMEDOUT);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
        CHECK_STR(error.message, "a: gave up after 1 s: timed out");

        /* the probe waits itself, and has said for what */
        reset();
        fakes[0].probe_ms = 30000;
        fakes[0].waiting_for = "the disk";
        CHECK_INT(run(steps, 1), -ETIMEDOUT);
        CHECK_STR(error.message, "a: gave up after 1 s: waited for the disk");
}

static void test_only_waits(void)
{
        /* no apply: what is not yet so is waited for */
        const Step steps[] = {
                { .name = "a",
                  .makes_true = "a",
                  .runs_on = BOTH,
                  .probe = probe_0,
                  .retry = QUICK,
                  .deadline_s = 1 },
        };
        reset();
        fakes[0].waiting_for = "the master's index";
        CHECK_INT(run(steps, 1), -ETIMEDOUT);
        CHECK_INT(error.class, ERROR_RETRY);
        CHECK_STR(error.message, "a: gave up after 1 s: waited for the master's index");
        CHECK(fakes[0].probes > 10);
        CHECK_INT(fakes[0].applies, 0);
}

static void test_failure_stops_dependents_only(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK },
                               { ROW(1, "b"), .needs = STEP_MASK(0) },
                               { ROW(2, "c"), .retry = QUICK },
                               { ROW(3, "d"), .needs = STEP_MASK(2), .retry = QUICK } };
        reset();
        fakes[0].apply_fails = 1;
        fakes[0].class = ERROR_CONFIG;
        fakes[2].probe_ms = 20;
        CHECK_INT(run(steps, 4), -EPERM);
        CHECK_INT(error.class, ERROR_CONFIG);
        CHECK_STR(error.message, "a: apply refused");
        CHECK_INT(fakes[0].applies, 1);
        CHECK_INT(fakes[1].probes, 0);
        CHECK_INT(status.steps[1].state, STEP_WAITING);
        CHECK_STR(status.steps[1].waiting_for, "a (failed)");
        CHECK_INT(status.steps[3].state, STEP_DONE);
        CHECK_INT(status.phase, PHASE_FAILED);
}

/* When a step was looked at, and what a run that did not come to it leaves as it was. */
static void test_looks_and_what_is_kept(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK },
                               { ROW(1, "b"), .retry = QUICK },
                               { ROW(2, "c"), .retry = QUICK, .needs = STEP_MASK(0) },
                               { ROW(3, "d"), .retry = QUICK, .needs = STEP_MASK(2) } };
        reset();
        const MachineStatus nothing = { .n_steps = 4, .table = steps };
        CHECK_INT(machine_looked_us(&nothing), 0);
        CHECK_OK(run(steps, 4), error);
        uint64_t last = 0;
        FOREACH_ARRAY(step, status.steps, 4) {
                CHECK(step->looked_us >= step->started_us && step->looked_us <= step->finished_us);
                last = step->looked_us > last ? step->looked_us : last;
        }
        CHECK(machine_looked_us(&status) == last);

        const MachineStatus before = status;
        reset();
        fakes[0].probe_fails = 1; /* a says nothing, b is looked at, c and d wait for a */
        fakes[0].class = ERROR_CONFIG;
        fakes[1].so = 1;
        CHECK_INT(run(steps, 4), -ECONNREFUSED);
        const MachineStatus after = status;
        machine_keep(&status, &before);
        CHECK_INT(status.steps[0].state, STEP_FAILED);
        CHECK(status.steps[1].looked_us == after.steps[1].looked_us);
        CHECK_INT(after.steps[2].state, STEP_WAITING);
        CHECK(memcmp(status.steps + 2, before.steps + 2, 2 * sizeof(before.steps[0])) == 0);

        MachineStatus lost = before; /* what was not so is not made so */
        lost.steps[3].state = STEP_FAILED;
        status = after;
        machine_keep(&status, &lost);
        CHECK_INT(status.steps[3].state, STEP_WAITING);
}

static void test_unsafe_cancels_all(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK },
                               { ROW(1, "b"), .retry = QUICK },
                               { ROW(2, "c"), .needs = STEP_MASK(1) },
                               { ROW(3, "d") } };
        reset();
        fakes[0].probe_ms = 50;
        fakes[0].probe_fails = 1;
        fakes[0].class = ERROR_UNSAFE;
        fakes[1].apply_ms = 30000;
        fakes[3].probe_fails = 1; /* fails before, and does not decide */
        fakes[3].class = ERROR_CONFIG;
        uint64_t before = wait_now_ms();
        CHECK_INT(run(steps, 4), -ECONNREFUSED);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
        CHECK_INT(error.class, ERROR_UNSAFE);
        CHECK_STR(error.message, "a: probe refused");
        CHECK_INT(status.steps[1].state, STEP_WAITING);
        CHECK_INT(fakes[1].so, 0);
        CHECK_INT(fakes[2].probes, 0);
        CHECK(machine_decisive(&status) == &status.steps[0]);
}

static void *stop_later(void *fd)
{
        Wait wait = test_patience();
        (void) wait_sleep(&wait, 50, ERROR_IGNORED);
        (void) eventfd_write(*(int *) fd, 1);
        return NULL;
}

static void test_cancellation(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = { 60000, 60000 } },
                               { ROW(1, "b"), .retry = QUICK } };
        reset();
        fakes[0].probe_fails = 1000;
        fakes[0].class = ERROR_RETRY; /* in backoff */
        fakes[1].probe_ms = 30000;    /* in its probe */
        int fd = eventfd(0, EFD_CLOEXEC);
        REQUIRE(fd >= 0);
        MachineOptions options = options_for(steps, 2);
        options.stop_fd = fd;
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, stop_later, &fd) == 0);
        uint64_t before = wait_now_ms();
        CHECK_INT(machine_run(&options, &status, &error), -ECANCELED);
        uint64_t took = wait_now_ms() - before;
        CHECK(took >= 45 && took < TEST_CUT_SHORT_MS);
        CHECK_INT(status.phase, PHASE_CONVERGING);
        CHECK_INT(status.steps[0].next_retry_us, 0);
        CHECK_INT(status.steps[1].state, STEP_WAITING);
        (void) pthread_join(thread, NULL);
        (void) close(fd);
}

static void test_apply_once(void)
{
        const Step steps[] = { { ROW(0, "a"), .destroys_data = true } };
        reset();
        fakes[0].apply_fails = 1;
        fakes[0].class = ERROR_RETRY;
        CHECK_INT(run(steps, 1), -EPERM);
        CHECK_INT(fakes[0].applies, 1);
        CHECK_INT(error.class, ERROR_RETRY);

        reset();
        fakes[0].apply_changes_nothing = true;
        CHECK_INT(run(steps, 1), -EAGAIN);
        CHECK_INT(fakes[0].applies, 1);

        /* "cannot tell" is tried again */
        reset();
        fakes[0].probe_fails = 1;
        fakes[0].class = ERROR_RETRY;
        CHECK_OK(run(steps, 1), error);
        CHECK_INT(fakes[0].applies, 1);

        /* also after it was applied; but a "no" then is no reason to apply it again */
        reset();
        fakes[0].verify_fails = 1;
        fakes[0].class = ERROR_RETRY;
        fakes[0].apply_changes_nothing = true;
        CHECK_INT(run(steps, 1), -EIO);
        CHECK_STR(error.message, "a: applied, but still not so");
        CHECK_INT(fakes[0].applies, 1);
}

/* What a probe says of its "not yet" is shown until the step is done, and then forgotten. */
static void test_reason(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK, .deadline_s = 1 } };
        reset();
        fakes[0].reason = "a.conf is missing";
        fakes[0].apply_changes_nothing = true;
        CHECK(run(steps, 1) < 0);
        CHECK_CONTAINS(error.message, ": a.conf is missing");

        reset();
        fakes[0].reason = "a.conf is missing";
        MachineOptions options = options_for(steps, 1);
        options.mode = MACHINE_PLAN;
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_INT(status.steps[0].state, STEP_WOULD_APPLY);
        CHECK_STR(status.steps[0].reason, "a.conf is missing");

        options.mode = MACHINE_CONVERGE;
        options.only = STEP_MASK(0);
        CHECK_INT(machine_run(&options, &status, &error), -ENOENT);
        CHECK_STR(error.message, "a: no longer so: a.conf is missing");

        seen[0] = '\0';
        CHECK_OK(run(steps, 1), error);
        CHECK_INT(status.steps[0].state, STEP_DONE);
        CHECK_STR(status.steps[0].reason, "");
        /* each state is told once: the reason goes with the one that follows */
        CHECK_STR(seen, "starting a:probing a:applying converging a:verifying a:done ready ");
}

static void test_denial_is_warning(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK, .denial_is_warning = true } };
        reset();
        fakes[0].apply_fails = 1;
        fakes[0].class = ERROR_DENIED;
        CHECK_OK(run(steps, 1), error);
        CHECK_INT(status.steps[0].state, STEP_DONE);
        CHECK_STR(status.steps[0].warning, "apply refused");
        CHECK_INT(fakes[0].applies, 1);
}

static void test_force(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK },
                               { ROW(1, "b"), .needs = STEP_MASK(0), .retry = QUICK },
                               { ROW(2, "c"), .needs = STEP_MASK(1), .destroys_data = true },
                               { ROW(3, "d"), .needs = STEP_MASK(2), .retry = QUICK } };
        reset();
        for (size_t i = 0; i < 4; i++) {
                fakes[i].so = 1;
        }
        fakes[1].apply_fails = 1; /* still forced after a failure, and no longer after that */
        fakes[1].class = ERROR_RETRY;
        MachineOptions options = options_for(steps, 4);
        options.force = STEP_MASK(1);
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_INT(fakes[0].applies, 0);
        CHECK_INT(fakes[1].applies, 2);
        CHECK_INT(fakes[2].applies, 0);
        CHECK_INT(fakes[3].applies, 1);
}

static void test_only(void)
{
        const Step steps[] = { { ROW(0, "a") },
                               { ROW(1, "b"), .needs = STEP_MASK(0) },
                               { ROW(2, "c"), .needs = STEP_MASK(0) } };
        reset();
        fakes[1].so = fakes[2].so = 1;
        MachineOptions options = options_for(steps, 3);
        options.only = STEP_MASK(1) | STEP_MASK(2);
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_INT(fakes[0].probes, 0);
        CHECK_INT(fakes[1].probes + fakes[2].probes, 2);
        CHECK_STR(seen, "");

        fakes[1].so = 0;
        fakes[2].probe_ms = 30000;
        uint64_t before = wait_now_ms();
        CHECK_INT(machine_run(&options, &status, &error), -ENOENT);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
        CHECK_STR(error.message, "b: no longer so");
        CHECK_INT(fakes[1].applies, 0);
}

/* What a probe learns is read by those of the steps that need it: never while it is written. */
static void test_only_keeps_the_order(void)
{
        const Step steps[] = { { ROW(0, "a") },
                               { ROW(1, "b"), .needs = STEP_MASK(0) },
                               { ROW(2, "c"), .needs = STEP_MASK(1) } };
        reset();
        fakes[0].so = fakes[2].so = 1;
        fakes[0].probe_ms = 50;
        MachineOptions options = options_for(steps, 3);
        options.only = STEP_MASK(0) | STEP_MASK(2); /* c needs a by way of b */
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_INT(fakes[1].probes, 0);
        CHECK_INT(fakes[2].probes, 1);
        CHECK(fakes[2].began_ms >= fakes[0].ended_ms);

        fakes[0].so = 0; /* then what c would say is of no interest */
        CHECK_INT(machine_run(&options, &status, &error), -ENOENT);
        CHECK_STR(error.message, "a: no longer so");
        CHECK_INT(fakes[2].probes, 1);
}

static void test_plan(void)
{
        const Step steps[] = { { ROW(0, "a"), .needs = STEP_MASK(1) },
                               { ROW(1, "b"), .needs = STEP_MASK(2) },
                               { ROW(2, "c") },
                               { ROW(3, "d") } };
        reset();
        fakes[3].so = 1;
        MachineOptions options = options_for(steps, 4);
        options.mode = MACHINE_PLAN;
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_INT(status.steps[2].state, STEP_WOULD_APPLY);
        CHECK_INT(status.steps[1].state, STEP_UNKNOWN);
        CHECK_STR(status.steps[1].waiting_for, "c");
        CHECK_INT(status.steps[0].state, STEP_UNKNOWN);
        CHECK_INT(status.steps[3].state, STEP_DONE);
        for (size_t i = 0; i < 4; i++) {
                CHECK_INT(fakes[i].applies, 0);
        }

        fakes[2].probe_fails = 10; /* cannot tell: not tried again, and told */
        fakes[2].class = ERROR_RETRY;
        CHECK_INT(machine_run(&options, &status, &error), -ECONNREFUSED);
        CHECK_INT(status.steps[2].state, STEP_FAILED);
        CHECK_INT(status.steps[0].state, STEP_UNKNOWN);
}

/* Row 0 is the configuration: the role is known once it is done. */
static int probe_config(void *userdata, StepContext *context, Error *err)
{
        int r = fake_probe(&fakes[0], context, err);
        if (r > 0) {
                known_role = *(unsigned *) userdata;
        }
        return r;
}

static void test_role(void)
{
        const Step steps[] = {
                { .name = "config", .makes_true = "x", .runs_on = BOTH, .probe = probe_config },
                { ROW_OF(1, 1, "master-only"), .needs = STEP_MASK(0) },
                { ROW(2, "both"), .needs = STEP_MASK(0) | STEP_MASK(1) },
                { ROW_OF(1, 3, "no-needs") },
        };
        unsigned role = 2;
        reset();
        known_role = 0;
        fakes[0].so = 1;
        MachineOptions options = options_for(steps, 4);
        options.userdata = &role;
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK(!status.steps[1].runs_here && !status.steps[3].runs_here);
        CHECK_INT(fakes[1].probes + fakes[3].probes, 0);
        CHECK_INT(fakes[2].applies, 1);

        reset();
        known_role = 0;
        role = 1;
        fakes[0].so = 1;
        fakes[1].apply_ms = 30;
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK(status.steps[1].runs_here && status.steps[3].runs_here);
        CHECK(fakes[2].began_ms >= fakes[1].ended_ms);
        CHECK(fakes[3].began_ms >= fakes[0].ended_ms);

        reset();
        known_role = 0;
        fakes[0].class = ERROR_CONFIG;
        fakes[0].probe_fails = 1;
        CHECK_INT(machine_run(&options, &status, &error), -ECONNREFUSED);
        CHECK_INT(fakes[1].probes + fakes[2].probes + fakes[3].probes, 0);
        CHECK_INT(error.class, ERROR_CONFIG);
}

static void test_ready_before(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK } };
        reset();
        fakes[0].so = 1;
        CHECK_OK(run(steps, 1), error);
        MachineStatus before = status;
        MachineOptions options = options_for(steps, 1);
        options.before = &before;
        seen[0] = '\0';
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_STR(seen, "ready a:probing a:done ");
        CHECK(status.since_us == before.since_us);

        fakes[0].so = 0;
        seen[0] = '\0';
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_STR(seen, "ready a:probing a:applying degraded a:verifying a:done ready ");
}

static void test_routine(void)
{
        const Step steps[] = { { ROW(0, "a"), .retry = QUICK, .routine = true } };
        reset();
        MachineOptions options = options_for(steps, 1);
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_CONTAINS(seen,
                       "a:applying converging "); /* on the way to ready it is a step like any */

        MachineStatus before = status;
        options.before = &before;
        fakes[0].so = 0;
        seen[0] = '\0';
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_STR(seen, "ready a:probing a:applying a:verifying a:done ");
        CHECK(status.since_us == before.since_us);

        reset();
        fakes[0].class = ERROR_RETRY;
        fakes[0].apply_fails = 1;
        CHECK_OK(machine_run(&options, &status, &error), error);
        CHECK_CONTAINS(seen, "a:backoff degraded "); /* routine that fails is a loss */
}

/* A busy machine may take its time over them. */
static void outlast_ticks(int n)
{
        (void) n;
        Wait wait = test_patience();
        while (n_ticks < 2 && wait_sleep(&wait, 5, ERROR_IGNORED) >= 0) {}
}

static void test_words_and_ticks(void)
{
        const Step steps[] = { { ROW(0, "a") } };
        reset();
        fakes[0].so = 1;
        fakes[0].when_probed = outlast_ticks;
        fakes[0].waiting_for = "vol-1";
        fakes[0].warning = "old kernel";
        MachineOptions options = options_for(steps, 1);
        options.observer.tick_ms = 20;
        uint64_t before = wait_now_ms();
        CHECK_OK(machine_run(&options, &status, &error), error);
        uint64_t took_ms = wait_now_ms() - before;             /* longer on a busy machine */
        CHECK_CONTAINS(seen, "starting a:probing a:probing "); /* told while it probes */
        CHECK_CONTAINS(seen, " a:done converging ready ");
        CHECK(n_ticks >= 2);
        CHECK(n_ticks <= took_ms / options.observer.tick_ms + 1);
        CHECK_STR(status.steps[0].warning, "old kernel; and more");
        CHECK_STR(status.steps[0].waiting_for, "");
}

static atomic_bool paused_before, paused_meanwhile;

static void outlast_pause(int n)
{
        (void) n;
        Wait wait = test_patience();
        paused_before = n_pauses > 0;
        while (n_pauses < 2 && wait_sleep(&wait, 5, ERROR_IGNORED) >= 0) {}
        paused_meanwhile = n_pauses > 1;
}

/* What came together is told of all steps at once, while they are at work. The rest is told at the
 * latest when the run is over, however it ended. */
static void test_pauses(void)
{
        const Step steps[] = { { ROW(0, "a") }, { ROW(1, "b") }, { ROW(2, "c") } };
        for (int fails = 0; fails < 2; fails++) {
                reset();
                for (size_t i = 0; i < 3; i++) {
                        fakes[i].so = 1;
                }
                fakes[0].when_probed = outlast_pause;
                fakes[2].class = ERROR_FATAL;
                fakes[2].probe_fails = fails ? 1 : 0;
                MachineOptions options = options_for(steps, 3);
                options.observer.pause = see_pause;
                CHECK_INT(machine_run(&options, &status, &error) < 0, fails);
                CHECK_CONTAINS(seen, "starting a:probing b:probing c:probing ");
                CHECK(paused_before && paused_meanwhile);
                CHECK(n_pauses <= 5); /* of four words at the start, three ends and two phases */
                CHECK_INT(seen_at_pause, strlen(seen));
                CHECK_INT(status_at_pause.phase, status.phase);
                CHECK_INT(status_at_pause.steps[2].state, fails ? STEP_FAILED : STEP_DONE);
        }
}

static atomic_int n_applied;
static atomic_bool applied_all[STEPS_MAX];

static int chain_probe(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        (void) err;
        step_waiting_for(context, "a word");
        return atomic_load(&n_applied) >= STEPS_MAX / 2;
}

static int chain_apply(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        (void) context;
        (void) err;
        atomic_store(&applied_all[atomic_fetch_add(&n_applied, 1) % STEPS_MAX], true);
        return 0;
}

static void test_64_steps(void)
{
        static Step steps[STEPS_MAX];
        static char names[STEPS_MAX][8];
        for (size_t i = 0; i < STEPS_MAX; i++) {
                (void) snprintf(names[i], sizeof(names[i]), "s%zu", i);
                steps[i] = (Step) { .name = names[i],
                                    .makes_true = "x",
                                    .runs_on = BOTH,
                                    .probe = chain_probe,
                                    .apply = chain_apply,
                                    .retry = QUICK,
                                    /* two halves, each row of the second needs all of the first */
                                    .needs = i < 32 ? 0 : 0xffffffffu };
        }
        CHECK_OK(step_table_check(steps, STEPS_MAX, BOTH, &error), error);
        reset();
        CHECK_OK(run(steps, STEPS_MAX), error);
        size_t runs_here = 0, done = 0;
        machine_count(&status, &runs_here, &done);
        CHECK_INT(runs_here, STEPS_MAX);
        CHECK_INT(done, STEPS_MAX);
        CHECK(n_applied >= STEPS_MAX / 2);
}

int main(void)
{
        test_case("probe, apply, probe again", test_probe_apply_probe);
        test_case("steps whose needs are met run side by side", test_side_by_side);
        test_case("what may be retried is retried", test_retry);
        test_case("needs are looked at again before a step is", test_needs_are_renewed);
        test_case("a need that is lost ends what depends on it", test_needs_that_are_lost);
        test_case("applied, but still not so", test_verify_not_yet);
        test_case("a repetition is no news", test_news);
        test_case("what was applied may take its time", test_settle);
        test_case("what was applied has its time", test_settled_not);
        test_case("an apply that waits", test_await);
        test_case("a probe says why not yet", test_reason);
        test_case("the deadline cuts a wait", test_deadline_cuts_a_wait);
        test_case("a step without apply waits", test_only_waits);
        test_case("a failure stops what depends on it, and nothing else",
                  test_failure_stops_dependents_only);
        test_case("looks, and what is kept of them", test_looks_and_what_is_kept);
        test_case("unsafe cancels everything and decides", test_unsafe_cancels_all);
        test_case("a stop request ends waits and backoffs at once", test_cancellation);
        test_case("what destroys data is applied once", test_apply_once);
        test_case("a denial that is only a warning", test_denial_is_warning);
        test_case("forced steps, their dependents, no destroyer", test_force);
        test_case("only: probes, no needs, ended by the first that is not so", test_only);
        test_case("only: what a step needs is probed before it", test_only_keeps_the_order);
        test_case("plan applies nothing", test_plan);
        test_case("the role is not known until a step tells it", test_role);
        test_case("ready stays ready, or becomes degraded", test_ready_before);
        test_case("routine is no degradation, unless it fails", test_routine);
        test_case("what a step waits for is shown; ticks", test_words_and_ticks);
        test_case("changes that came together are told together", test_pauses);
        test_case("64 steps", test_64_steps);
        return test_done();
}
