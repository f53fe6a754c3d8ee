/* SPDX-License-Identifier: Apache-2.0 */
/* `run --resident`, as systemd starts it: what it tells, what it mends, and how it gives way. */
#define REPROBE_S 1 /* where the real rows take a minute */

#include <signal.h>
#include <sys/stat.h>

#include "resident_table.h"
#include "resident_world.h"

static void test_ready_and_stop(void)
{
        world_reset();
        start();
        CHECK(systemd_hears("STATUS=ready; 24 steps done"));
        CHECK(systemd_hears("READY=1"));
        CHECK_INT(program_run(&other, WORDS("status")), 0);
        CHECK_INT(stop(), 0);
        CHECK(systemd_hears("STOPPING=1"));
        CHECK_INT(program_run(&other, WORDS("status")), 3); /* outlives the daemon, and says so */
        CHECK_CONTAINS(other.output, "the daemon is not running");
        CHECK_CONTAINS(other.output, "24 of 24 steps done");

        start();
        REQUIRE(systemd_hears("READY=1"));
        (void) kill(program.pid, SIGKILL);
        CHECK_INT(program_end(&program), -1);
        CHECK_INT(program_run(&other, WORDS("status", "--json")), 3);

        /* who waits waits for the next one */
        program_start(&other, false, WORDS("status", "--wait"));
        start();
        CHECK_INT(program_end(&other), 0);
        CHECK_INT(stop(), 0);
}

static void test_stopped_while_converging(void)
{
        world_reset();
        world->probe_ms[BOOT_ETCD] = 30000;
        start();
        CHECK(systemd_hears("STATUS=etcd: the etcd of another world"));
        uint64_t before = wait_now_ms();
        CHECK_INT(stop(), 0);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
}

static void test_mends(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        int before = world_applies();
        world->so[BOOT_FLANNELD] = 0;
        CHECK(systemd_hears("STATUS=degraded: "));
        CHECK(systemd_hears("STATUS=ready; 24 steps done"));
        CHECK_INT(world->applies[BOOT_FLANNELD], 2);
        CHECK_INT(world_applies(), before + 1);
        CHECK_INT(world->so[BOOT_FLANNELD], 1);
        CHECK_INT(stop(), 0);
}

static void test_looks_without_the_lock(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->probe_ms[BOOT_ETCD] = 800; /* it is nearly always at a probe now */
        int before = world->probes[BOOT_ETCD];
        WORLD_UNTIL(world->probes[BOOT_ETCD] >= before + 2);
        CHECK_INT(program_run(&other, WORDS("run", "--no-follow")), 0);
        CHECK_INT(stop(), 0);
}

static void test_reload(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        int before = world->probes[BOOT_CONFIG];
        (void) kill(program.pid, SIGHUP);
        CHECK(systemd_hears("RELOADING=1"));
        CHECK(systemd_hears("READY=1"));
        CHECK_INT(world->probes[BOOT_CONFIG], before + 1);
        CHECK_INT(stop(), 0);
}

/* It looks a ready machine over, and that has not ended yet: no result for whoever follows. */
static void test_followed_on_a_ready_machine(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->held[BOOT_CONFIG] = true;
        int before = world->probes[BOOT_CONFIG];
        (void) kill(program.pid, SIGHUP);
        WORLD_UNTIL(world->probes[BOOT_CONFIG] != before);
        world->class = ERROR_DENIED;
        world->fails[BOOT_KUBELET_CONFIG] = world->fails[BOOT_KUBELET] = 1;
        program_start(&other, false, WORDS("run"));
        CHECK(program_says(&other, "following it"));
        world->held[BOOT_CONFIG] = false;
        CHECK_INT(program_end(&other), 77);
        CHECK_INT(stop(), 0);
}

/* It is about the launch: whatever is mended later, the stack has heard it. */
static void test_stack_hears_ready_once(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->so[BOOT_FLANNELD] = 0;
        REQUIRE(systemd_hears("STATUS=degraded: "));
        REQUIRE(systemd_hears("STATUS=ready; 24 steps done"));
        int before = world->probes[BOOT_ETCD];
        WORLD_UNTIL(world->probes[BOOT_ETCD] != before);
        CHECK_INT(world->stack_ready, 1);
        world->class = ERROR_UNSAFE;
        world->fails[BOOT_KUBELET] = 1;
        CHECK_INT(program_end(&program), 65);
        CHECK_INT(world->stack_failed, 0);
}

static void test_stack_is_told_again(void)
{
        world_reset();
        world->stack_fails = 2;
        start();
        REQUIRE(systemd_hears("READY=1")); /* which does not wait for it */
        WORLD_UNTIL(world->stack_ready >= 3);
        CHECK_INT(program_run(&other, WORDS("status")), 0);
        CHECK_INT(stop(), 0);
        CHECK_INT(world->stack_ready, 3);
        CHECK_CONTAINS(program.output, "the stack was told: ready");

        world_reset();
        world->stack_says = -EALREADY; /* a reboot, say: it is asked once, and that is that */
        start();
        REQUIRE(systemd_hears("READY=1"));
        WORLD_UNTIL(world->probes[BOOT_ETCD] >= 3);
        CHECK_INT(stop(), 0);
        CHECK_INT(world->stack_ready, 1);
        CHECK_CONTAINS(program.output, "no operation of the stack waits for this instance");
        CHECK(!strstr(program.output, "CREATE_COMPLETE")); /* it reads like a fault */
}

/* What systemd does not start again. */
static void test_stack_hears_of_failure(void)
{
        static const ErrorClass classes[] = { ERROR_CONFIG, ERROR_UNSAFE };
        FOREACH_ARRAY(class, classes, ELEMENTS(classes)) {
                world_reset();
                world->class = *class;
                world->fails[BOOT_VOLUME_ATTACH] = 1;
                world->stack_fails = 1;
                start();
                CHECK_INT(program_end(&program), *class == ERROR_UNSAFE ? 65 : 78);
                CHECK_INT(world->stack_failed, 2); /* the second time it heard */
                CHECK_INT(world->stack_ready, 0);
                CHECK(systemd_hears("STOPPING=1"));
                CHECK_CONTAINS(program.output, "kube-bootstrap: volume-attach: the probe refused");
        }

        world_reset(); /* systemd starts it again, and then it may be ready */
        world->class = ERROR_RETRY;
        world->apply_fails[BOOT_VOLUME_FORMAT] = 1;
        start();
        WORLD_UNTIL(world->applies[BOOT_VOLUME_FORMAT]);
        CHECK_INT(stop(), 0);
        CHECK_INT(world->stack_failed, 0);

        world_reset();
        world->class = ERROR_FATAL;
        world->source = ERROR_FROM_AWS;
        world->fails[BOOT_VOLUME_ATTACH] = 1;
        start();
        CHECK_INT(program_end(&program), 1);
        CHECK_INT(world->stack_failed, 0);
}

static const struct {
        ErrorClass class;
        ErrorSource source;
} refusals[] = {
        { ERROR_DENIED, ERROR_FROM_AWS },
        { ERROR_CONFIG, ERROR_FROM_AWS },
        { ERROR_DENIED, ERROR_HERE },
};

/* IAM's lag, a role that is not there yet. */
static void test_refused_before_ready(void)
{
        FOREACH_ARRAY(refusal, refusals, ELEMENTS(refusals)) {
                world_reset();
                world->class = refusal->class;
                world->source = refusal->source;
                world->fails[BOOT_IDENTITY] = 1;
                start();
                REQUIRE(systemd_hears("STATUS=identity: the probe refused; 1 of "));
                WORLD_UNTIL(world->probes[BOOT_CONFIG] >= 3);
                CHECK_INT(program_run(&other, WORDS("status")), 2);
                CHECK_CONTAINS(other.output, "converging for ");
                CHECK_INT(world->stack_ready + world->stack_failed, 0);
                CHECK(!strstr(systemd_heard, "READY=1"));
                world->fails[BOOT_IDENTITY] = 0;
                CHECK(systemd_hears("STATUS=ready; 24 steps done"));
                REQUIRE(systemd_hears("READY=1"));
                WORLD_UNTIL(world->stack_ready > 0);
                CHECK_INT(stop(), 0);
                CHECK_INT(world->stack_failed, 0);
                CHECK_INT(world->stack_ready, 1);
        }
}

/* It is run again more and more slowly, and when that is can be seen. */
static void test_refused_for_long(void)
{
        FOREACH_ARRAY(refusal, refusals, ELEMENTS(refusals)) {
                world_reset();
                world->class = refusal->class;
                world->source = refusal->source;
                world->fails[BOOT_VOLUME_ATTACH] = 1;
                start();
                WORLD_UNTIL(world->probes[BOOT_CONFIG] >= 2);
                CHECK_INT(world->stack_failed, 0);
                world->later_s = boot_patience_ms / 1000;
                WORLD_UNTIL(world->stack_failed > 0);
                int before = world->probes[BOOT_CONFIG];
                WORLD_UNTIL(world->probes[BOOT_CONFIG] >= before + 3);
                CHECK_INT(world->stack_failed, 1); /* once, and it goes on trying */
                CHECK_INT(program_run(&other, WORDS("status", "--wait=1")), 2);
                world->fails[BOOT_VOLUME_ATTACH] = 0;
                CHECK(systemd_hears("STATUS=ready; 24 steps done"));
                CHECK_INT(stop(), 0);
                CHECK_INT(world->stack_failed, 1);
                CHECK_INT(world->stack_ready, 0); /* the stack would refuse it */
        }
}

static void test_failure(void)
{
        world_reset();
        world->class = ERROR_CONFIG;
        world->fails[BOOT_VOLUME_ATTACH] = 1;
        start();
        CHECK_INT(program_end(&program), 78);
        CHECK(systemd_hears("STATUS=volume-attach: the probe refused"));
        CHECK(systemd_hears("ERRNO=16"));

        /* and one that is unsafe ends it at any time */
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->class = ERROR_UNSAFE;
        world->fails[BOOT_KUBELET] = 1;
        CHECK_INT(program_end(&program), 65);
        CHECK_INT(program_run(&other, WORDS("status")), 1);
}

/* A hiccup of IAM, say, at a machine that works. */
static void test_failure_to_mend(void)
{
        static const ErrorClass classes[] = { ERROR_DENIED, ERROR_CONFIG, ERROR_FATAL };
        FOREACH_ARRAY(class, classes, ELEMENTS(classes)) {
                world_reset();
                start();
                REQUIRE(systemd_hears("READY=1"));
                world->class = *class;
                world->fails[BOOT_KUBELET] = 1;
                REQUIRE(systemd_hears("STATUS=degraded: "));
                int before = world->probes[BOOT_CONFIG];
                WORLD_UNTIL(world->probes[BOOT_CONFIG] >= before + 3);
                CHECK_INT(program_run(&other, WORDS("status")), 3);
                world->fails[BOOT_KUBELET] = 0;
                CHECK(systemd_hears("STATUS=ready; 24 steps done"));
                CHECK_INT(program_run(&other, WORDS("status")), 0);
                CHECK_INT(world->stack_failed, 0);
                CHECK_INT(world->clients, 1); /* what one run learned of AWS, the next one knows */
                CHECK_INT(stop(), 0);
        }
}

/* IAM that lags, where a denial is only a warning: long before the row is looked at again. */
static void test_denial_that_is_a_warning(void)
{
        world_reset();
        world->class = ERROR_DENIED;
        world->apply_fails[BOOT_SOURCE_DEST_CHECK] = 1;
        start();
        REQUIRE(systemd_hears("READY=1"));
        int before = world->probes[BOOT_ETCD]; /* which is looked at again all the time */
        WORLD_UNTIL(world->applies[BOOT_SOURCE_DEST_CHECK] >= 3 ||
                    world->probes[BOOT_ETCD] >= before + 12);
        CHECK(world->applies[BOOT_SOURCE_DEST_CHECK] >= 3);
        world->apply_fails[BOOT_SOURCE_DEST_CHECK] = 0;
        before = world->probes[BOOT_ETCD];
        WORLD_UNTIL(world->so[BOOT_SOURCE_DEST_CHECK] || world->probes[BOOT_ETCD] >= before + 12);
        CHECK_INT(world->so[BOOT_SOURCE_DEST_CHECK], 1);
        CHECK_INT(stop(), 0);
}

static void test_waits_for_a_run_by_hand(void)
{
        world_reset();
        world->probe_ms[BOOT_ETCD] = 500;
        program_start(&other, false, WORDS("run"));
        REQUIRE(program_says(&other, "etcd: probing"));
        world->probe_ms[BOOT_ETCD] = 0;
        start();
        CHECK(systemd_hears("READY=1"));
        CHECK_INT(program_end(&other), 0);
        CHECK_INT(world->applies[BOOT_ETCD], 1);
        CHECK_INT(stop(), 0);
}

/* A configuration that a person has just spoiled stops nothing that runs. */
static void test_failed_reload(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->class = ERROR_CONFIG;
        world->fails[BOOT_CONFIG] = 1;
        (void) kill(program.pid, SIGHUP);
        CHECK(systemd_hears("STATUS=degraded; 23 of 24 steps done"));
        REQUIRE(systemd_hears("READY=1"));
        /* between two runs: each tries the step again */
        WORLD_UNTIL(program_run(&other, WORDS("status")) == 3 &&
                    strstr(other.output, "config              failed"));
        CHECK_CONTAINS(other.output, "23 of 24 steps done");
        CHECK_CONTAINS(other.output, "etcd                done");
        world->fails[BOOT_CONFIG] = 0;
        CHECK(systemd_hears("STATUS=ready; 24 steps done"));
        CHECK_INT(program_run(&other, WORDS("status")), 0);
        CHECK_INT(stop(), 0);
}

static uint64_t looked_at(BootStep id)
{
        static StateFile state;
        Error err = {};
        CHECK_OK(state_file_read(runtime_path("state.json"), boot_steps, _BOOT_STEP_MAX, &state,
                                 &err),
                 err);
        return state.status.steps[id].looked_us;
}

static void test_tells_when_it_looked(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        uint64_t kubelet = looked_at(BOOT_KUBELET), config = looked_at(BOOT_CONFIG);
        CHECK(kubelet > 0 && config > 0);
        WORLD_UNTIL(looked_at(BOOT_KUBELET) != kubelet);
        CHECK(looked_at(BOOT_KUBELET) > kubelet);
        CHECK(looked_at(BOOT_CONFIG) == config); /* has no interval */
        CHECK_INT(stop(), 0);
}

/* As when /run is full: nobody else can tell then. */
static void test_state_that_cannot_be_told(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        (void) unlink(runtime_path("state.json"));
        REQUIRE(mkdir(runtime_path("state.json"), 0755) == 0);
        CHECK(systemd_hears("STATUS=ready; 24 steps done; "));
        CHECK(systemd_hears("state.json: Is a directory"));
        int etcd = world->probes[BOOT_ETCD];
        WORLD_UNTIL(world->probes[BOOT_ETCD] >= etcd + 3);
        CHECK_INT(world->probes[BOOT_CONFIG], 2); /* that is not another's run each time */
        REQUIRE(rmdir(runtime_path("state.json")) == 0);
        CHECK(systemd_hears("STATUS=ready; 24 steps done\n"));
        CHECK_INT(program_run(&other, WORDS("status")), 0);
        CHECK_INT(stop(), 0);
}

static void test_watchdog(void)
{
        world_reset();
        CHECK(setenv("WATCHDOG_USEC", "400000", 1) == 0);
        start();
        REQUIRE(systemd_hears("READY=1"));
        CHECK(systemd_hears("WATCHDOG=1")); /* idle, and still */
        CHECK(systemd_hears("WATCHDOG=1"));
        CHECK_INT(stop(), 0);
        CHECK(unsetenv("WATCHDOG_USEC") == 0);
}

int main(void)
{
        if (!be_systemd()) {
                return EXIT_FAILURE;
        }
        test_case("ready is told once it is; SIGTERM ends it cleanly", test_ready_and_stop);
        test_case("SIGTERM while converging", test_stopped_while_converging);
        test_case("what is no longer so is mended, and nothing else touched", test_mends);
        test_case("a run by hand never waits for its looks", test_looks_without_the_lock);
        test_case("SIGHUP runs the table again", test_reload);
        test_case("a run by hand follows a look at a ready machine to its end",
                  test_followed_on_a_ready_machine);
        test_case("the stack hears once that it is ready", test_stack_hears_ready_once);
        test_case("a stack that cannot be told is told later", test_stack_is_told_again);
        test_case("the stack hears of a failure that would last", test_stack_hears_of_failure);
        test_case("a refusal by AWS before ready is tried again", test_refused_before_ready);
        test_case("a refusal that lasts is told once", test_refused_for_long);
        test_case("failures end it, with the class's status", test_failure);
        test_case("what cannot be mended leaves it degraded, and is tried again",
                  test_failure_to_mend);
        test_case("a denial that is only a warning is asked again", test_denial_that_is_a_warning);
        test_case("it waits for a run by hand", test_waits_for_a_run_by_hand);
        test_case("a failed reload leaves what is known of the other steps", test_failed_reload);
        test_case("it tells when it looked", test_tells_when_it_looked);
        test_case("systemd hears of a state that cannot be told", test_state_that_cannot_be_told);
        test_case("the watchdog is fed while idle", test_watchdog);
        (void) close(systemd_fd);
        return test_done();
}
