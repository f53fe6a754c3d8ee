/* SPDX-License-Identifier: Apache-2.0 */
#include "host/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "harness.h"
#include "host/process.h"
#include "host/unit_watch.h"

/* Where systemd is PID 1 and we are root, units of the test's own are put below /run and removed
 * again. Elsewhere there is the refusal to look at; the lab runs this program in an instance. */

#define UNIT_DIR "/run/systemd/system/"
#define FLAG     "/run/kube-bootstrap-test-flag"
#define PREFIX   "kube-bootstrap-test-"

static const struct {
        const char *name;
        const char *text;
} units[] = {
        { PREFIX "good.service", "[Service]\nExecStart=/bin/sleep 600\n" },
        { PREFIX "bad.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c "
                                "'echo error: no such door; echo bye; exec false'\n" },
        { PREFIX "brief.service", "[Service]\nExecStart=/bin/sleep 1\n" },
        { PREFIX "slow.service", "[Service]\nType=oneshot\nExecStart=/bin/sleep 600\n" },
        { PREFIX "limited.service", "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=600\n"
                                    "[Service]\nType=oneshot\nExecStart=/bin/test -e " FLAG "\n" },
};

static void test_refused(void)
{
        Error err = {};
        UnitState state = { .load = "untouched" };
        Wait wait = test_patience();
        CHECK(unit_look("good.service", &wait, &state, &err) < 0);
        CHECK(string_starts_with(err.message, "look at good.service: connect to systemd: "));
        CHECK_STR(state.load, "untouched");
        CHECK(unit_start("good.service", &wait, &err) < 0);
        CHECK(string_starts_with(err.message, "start good.service: connect to systemd: "));
        CHECK(unit_reset_failed("good.service", &wait, &err) < 0);
        CHECK(unit_wait_change("good.service", &state, &wait, 100, &err) < 0);
}

static bool reload_manager(void)
{
        const char *const argv[] = { "/bin/systemctl", "daemon-reload", NULL };
        _cleanup_process_result_ ProcessResult result = {};
        Error err = {};
        Wait wait = test_patience();
        return process_run_checked(&(ProcessOptions) { .argv = argv }, &wait, &result, &err) >= 0;
}

static void test_units_are_written(void)
{
        Error err = {};
        Wait wait = test_patience();
        UnitState state = {};
        CHECK_OK(file_make_directory(UNIT_DIR, 0755, &err), err);
        FOREACH_ARRAY(u, units, ELEMENTS(units)) {
                char path[256];
                (void) snprintf(path, sizeof(path), UNIT_DIR "%s", u->name);
                CHECK_OK(file_write(path, u->text, strlen(u->text), 0644, &err), err);
        }
        CHECK_INT(symlink("/dev/null", UNIT_DIR PREFIX "masked.service"), 0);
        CHECK(reload_manager());
        CHECK_OK(unit_look(PREFIX "good.service", &wait, &state, &err), err);
        CHECK_STR(state.load, "loaded");
        CHECK_STR(state.active, "inactive");
        CHECK_INT(state.active_since_us, 0);
        CHECK(!state.need_reload);
}

/* Of a unit that runs: others are forgotten between two looks. */
static void test_reload(void)
{
        Error err = {};
        Wait wait = test_patience();
        UnitState state = {};
        const char *name = PREFIX "good.service", *text = "[Service]\nExecStart=/bin/sleep 601\n";
        CHECK_OK(unit_start(name, &wait, &err), err);
        CHECK_OK(file_write(UNIT_DIR PREFIX "good.service", text, strlen(text), 0644, &err), err);
        CHECK_OK(unit_look(name, &wait, &state, &err), err);
        CHECK(state.need_reload);
        CHECK(reload_manager());
        CHECK_OK(unit_look(name, &wait, &state, &err), err);
        CHECK(!state.need_reload);
        CHECK_OK(unit_stop(name, &wait, &err), err);
}

static void test_start_restart_stop(void)
{
        Error err = {};
        Wait wait = test_patience();
        UnitState first = {}, again = {}, restarted = {}, stopped = {};
        const char *name = PREFIX "good.service";
        CHECK_OK(unit_start(name, &wait, &err), err);
        CHECK_OK(unit_look(name, &wait, &first, &err), err);
        CHECK_STR(first.active, "active");
        CHECK_STR(first.sub, "running");
        CHECK_STR(first.result, "success");
        CHECK(first.active_since_us > 0);
        CHECK(first.invocation[0] && first.invocation[1]);
        CHECK_OK(unit_start(name, &wait, &err), err); /* it runs: nothing happens */
        CHECK_OK(unit_look(name, &wait, &again, &err), err);
        CHECK(memcmp(first.invocation, again.invocation, sizeof(first.invocation)) == 0);
        CHECK_OK(unit_restart(name, &wait, &err), err);
        CHECK_OK(unit_look(name, &wait, &restarted, &err), err);
        CHECK_STR(restarted.active, "active");
        CHECK(memcmp(first.invocation, restarted.invocation, sizeof(first.invocation)) != 0);
        CHECK_OK(unit_stop(name, &wait, &err), err);
        CHECK_OK(unit_look(name, &wait, &stopped, &err), err);
        CHECK_STR(stopped.active, "inactive");
        CHECK_INT(stopped.active_since_us, 0);
        CHECK_OK(unit_stop(name, &wait, &err), err); /* once more: fine */
}

static void test_not_found_and_masked(void)
{
        Error err = {};
        Wait wait = test_patience();
        UnitState state = {};
        CHECK_OK(unit_look(PREFIX "none.service", &wait, &state, &err), err);
        CHECK_STR(state.load, "not-found");
        CHECK_STR(state.active, "inactive");
        CHECK_INT(unit_start(PREFIX "none.service", &wait, &err), -ENOENT);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_STR(err.message,
                  "start " PREFIX "none.service: Unit " PREFIX "none.service not found.");
        CHECK_OK(unit_look(PREFIX "masked.service", &wait, &state, &err), err);
        CHECK_STR(state.load, "masked");
        CHECK(unit_start(PREFIX "masked.service", &wait, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "masked");
        CHECK(unit_start("no unit", &wait, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
}

static void test_failed(void)
{
        Error err = {};
        Wait wait = test_patience();
        UnitState state = {};
        const char *name = PREFIX "bad.service";
        CHECK_INT(unit_start(name, &wait, &err), -EIO);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_STR(err.message, "start " PREFIX "bad.service: job ended with \"failed\"; unit is "
                               "failed (failed), result \"exit-code\"; it said \"error: no such "
                               "door\"; see journalctl -u " PREFIX "bad");
        CHECK_OK(unit_look(name, &wait, &state, &err), err);
        CHECK_STR(state.active, "failed");
        CHECK_STR(state.result, "exit-code");
        CHECK_OK(unit_reset_failed(name, &wait, &err), err);
        CHECK_OK(unit_look(name, &wait, &state, &err), err);
        CHECK_STR(state.active, "inactive");
        CHECK_OK(unit_reset_failed(PREFIX "none.service", &wait, &err), err);
}

static void test_start_limit(void)
{
        Error err = {};
        Wait wait = test_patience();
        const char *name = PREFIX "limited.service";
        CHECK_INT(unit_start(name, &wait, &err), -EIO); /* lacks its flag */
        CHECK_OK(file_write(FLAG, "", 0, 0644, &err), err);
        CHECK_INT(unit_start(name, &wait, &err), -EIO); /* too soon */
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_OK(unit_reset_failed(name, &wait, &err), err);
        CHECK_OK(unit_start(name, &wait, &err), err);
}

static void test_wait_change(void)
{
        Error err = {};
        Wait wait = test_patience();
        UnitState state = {}, old = {};
        const char *name = PREFIX "brief.service";
        CHECK_OK(unit_look(name, &wait, &old, &err), err);
        uint64_t before = wait_now_ms();
        CHECK_INT(unit_wait_change(name, &old, &wait, 300, &err), 0);
        uint64_t took = wait_now_ms() - before;
        CHECK(took >= 300 && took < TEST_CUT_SHORT_MS);
        CHECK_OK(unit_start(name, &wait, &err), err);
        CHECK_OK(unit_look(name, &wait, &state, &err), err);
        CHECK_STR(state.active, "active");
        before = wait_now_ms();
        CHECK_INT(unit_wait_change(name, &state, &wait, 50000, &err), 1); /* its sleep ends */
        took = wait_now_ms() - before;
        CHECK(took >= 500 && took < TEST_CUT_SHORT_MS);
        CHECK_INT(unit_wait_change(name, &state, &wait, 20000, &err), 1); /* it has, at once */
        Wait brief = { .deadline_ms = wait_now_ms() + 200, .stop_fd = -1 };
        CHECK_OK(unit_look(name, &wait, &state, &err), err);
        CHECK_INT(unit_wait_change(name, &state, &brief, 20000, &err), -ETIMEDOUT);
}

/* Waits until the watch tells of one of the units: its mask. */
static uint64_t hear(UnitWatch *watch)
{
        Error err = {};
        Wait wait = test_patience();
        uint64_t mask = 0;
        while (mask == 0 && wait_check(&wait, &err) >= 0) {
                struct pollfd fds[] = { { .fd = -1 }, unit_watch_poll(watch) };
                (void) wait_fds(&wait, fds, 2, &err);
                CHECK_OK(unit_watch_take(watch, &mask, &err), err);
        }
        return mask;
}

static void test_watch(void)
{
        static const char *const names[] = { PREFIX "good.service", PREFIX "brief.service" };
        Error err = {};
        Wait wait = test_patience();
        _cleanup_(unit_watch_freep) UnitWatch *watch = NULL;
        REQUIRE(unit_watch_open(names, 2, &watch, &err) >= 0);
        /* the handshake may take a turn */
        for (int i = 0; i < 10; i++) {
                struct pollfd fds[] = { { .fd = -1 }, unit_watch_poll(watch) };
                Wait moment = wait_part(&wait, 50);
                uint64_t mask = 0;
                (void) wait_fds(&moment, fds, 2, &err);
                CHECK_OK(unit_watch_take(watch, &mask, &err), err);
        }
        CHECK_OK(unit_start(names[0], &wait, &err), err);
        CHECK_INT(hear(watch), 1);
        CHECK_OK(unit_stop(names[0], &wait, &err), err);
        CHECK_INT(hear(watch), 1);
        CHECK_OK(unit_start(names[1], &wait, &err), err);
        CHECK_INT(hear(watch), 2);
        CHECK_INT(hear(watch), 2); /* its second is over */
}

static void *stop_soon(void *userdata)
{
        Wait wait = test_patience();
        (void) wait_sleep(&wait, 300, ERROR_IGNORED);
        (void) eventfd_write(((const Wait *) userdata)->stop_fd, 1);
        return NULL;
}

static void test_deadline_and_stop(void)
{
        Error err = {};
        UnitState state = {};
        Wait wait = test_patience(), brief = { .deadline_ms = wait_now_ms() + 300, .stop_fd = -1 };
        const char *name = PREFIX "slow.service";
        pthread_t thread;
        CHECK_INT(unit_start(name, &brief, &err), -ETIMEDOUT);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_STR(err.message,
                  "start " PREFIX "slow.service: timed out waiting for the job to end");
        CHECK_OK(unit_look(name, &wait, &state, &err), err);
        CHECK_STR(state.active, "activating");
        wait.stop_fd = eventfd(0, EFD_CLOEXEC);
        REQUIRE(pthread_create(&thread, NULL, stop_soon, &wait) == 0);
        uint64_t before = wait_now_ms();
        CHECK_INT(unit_start(name, &wait, &err), -ECANCELED);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
        (void) pthread_join(thread, NULL);
        (void) close(TAKE_FD(wait.stop_fd));
        CHECK_OK(unit_stop(name, &wait, &err), err);
}

static void remove_units(void)
{
        Wait wait = test_patience();
        FOREACH_ARRAY(u, units, ELEMENTS(units)) {
                char path[256];
                (void) snprintf(path, sizeof(path), UNIT_DIR "%s", u->name);
                (void) unit_stop(u->name, &wait, ERROR_IGNORED); /* what a failed case left */
                (void) unit_reset_failed(u->name, &wait, ERROR_IGNORED);
                (void) file_remove(path, ERROR_IGNORED);
        }
        (void) file_remove(FLAG, ERROR_IGNORED);
        (void) file_remove(UNIT_DIR PREFIX "masked.service", ERROR_IGNORED);
        (void) reload_manager();
}

int main(void)
{
        static const TestCase cases[] = {
                { "units are loaded", test_units_are_written },
                { "a changed unit needs a reload", test_reload },
                { "start, restart and stop", test_start_restart_stop },
                { "not found, masked and misnamed", test_not_found_and_masked },
                { "a failure names the unit's result", test_failed },
                { "a start limit is hit and reset", test_start_limit },
                { "a change is waited for", test_wait_change },
                { "changes are heard", test_watch },
                { "a deadline and a stop request", test_deadline_and_stop },
        };
        bool systemd = access("/run/systemd/private", F_OK) == 0 && geteuid() == 0;
        static const TestCase without[] = { { "without systemd, a refusal that says so",
                                              test_refused } };
        if (!systemd) {
                test_cases_if(access("/run/dbus/system_bus_socket", F_OK) < 0, "a bus is there",
                              without, 1);
        }
        test_cases_if(systemd, "needs root and systemd as PID 1", cases, ELEMENTS(cases));
        if (systemd) {
                remove_units();
        }
        return test_done();
}
