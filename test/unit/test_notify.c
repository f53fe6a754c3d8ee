/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd would receive: NOTIFY_SOCKET is a socket of the test's. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/machine.h"
#include "engine/notify.h"
#include "harness.h"

static int fd = -EBADF;

static const char *received(void)
{
        static char text[1024];
        ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
        text[n < 0 ? 0 : n] = '\0';
        return text;
}

static bool listen_as_systemd(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", test_folder());
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0 &&
               setenv("NOTIFY_SOCKET", address.sun_path, 1) == 0;
}

static const Step steps[] = { { .name = "config" },
                              { .name = "volume-attach" },
                              { .name = "etcd" } };

static MachineStatus converging(void)
{
        MachineStatus s = { .phase = PHASE_CONVERGING, .n_steps = 3, .table = steps };
        s.steps[0] = (StepStatus) { .runs_here = true, .state = STEP_DONE };
        s.steps[1] = (StepStatus) { .runs_here = true, .state = STEP_BACKOFF, .started_us = 5 };
        s.steps[2] = (StepStatus) { .runs_here = true, .state = STEP_WAITING };
        return s;
}

static void test_text(void)
{
        char text[NOTIFY_STATUS_MAX];
        MachineStatus s = converging();
        notify_text(&s, text);
        CHECK_STR(text, "volume-attach: backoff; 1 of 3 steps done");
        (void) snprintf(s.steps[1].error.message, 64, "timed out");
        notify_text(&s, text);
        CHECK_STR(text, "volume-attach: timed out; 1 of 3 steps done");
        (void) snprintf(s.steps[1].waiting_for, 64, "vol-1 is attached to i-2");
        notify_text(&s, text);
        CHECK_STR(text, "volume-attach: vol-1 is attached to i-2; 1 of 3 steps done");
        /* one that has been at it longer, but has nothing to say, is not the one to name */
        s.steps[2] = (StepStatus) { .runs_here = true, .state = STEP_APPLYING, .started_us = 1 };
        notify_text(&s, text);
        CHECK_STR(text, "volume-attach: vol-1 is attached to i-2; 1 of 3 steps done");
        s.phase = PHASE_DEGRADED;
        notify_text(&s, text);
        CHECK_STR(text, "degraded: volume-attach: vol-1 is attached to i-2; 1 of 3 steps done");
        s.phase = PHASE_FAILED;
        s.steps[2].state = STEP_FAILED;
        (void) snprintf(s.steps[2].error.message, 64, "no such image");
        notify_text(&s, text);
        CHECK_STR(text, "etcd: no such image; 1 of 3 steps done");
        s.phase = PHASE_READY;
        s.steps[1].state = s.steps[2].state = STEP_DONE;
        notify_text(&s, text);
        CHECK_STR(text, "ready; 3 steps done");
}

static void test_messages(void)
{
        MachineStatus s = converging();
        char said[NOTIFY_STATUS_MAX] = "";
        notify_status(&s, NULL, said);
        CHECK_STR(received(), "STATUS=volume-attach: backoff; 1 of 3 steps done");
        notify_status(&s, NULL, said); /* nothing new */
        CHECK_STR(received(), "");
        s.phase = PHASE_FAILED;
        s.steps[1].state = STEP_FAILED;
        s.steps[1].error = (Error) { .error = EBUSY, .message = "two\nlines" };
        notify_status(&s, NULL, said);
        CHECK_STR(received(), "STATUS=volume-attach: two lines; 1 of 3 steps done\nERRNO=16");
        notify_status(&s, "write state.json: No space left on device", said);
        CHECK_CONTAINS(received(), "; 1 of 3 steps done; write state.json: No space left");
        notify_ready();
        CHECK_STR(received(), "READY=1");
        notify_reloading();
        CHECK_STR(received(), "RELOADING=1");
        notify_stopping();
        CHECK_STR(received(), "STOPPING=1");
        notify_alive();
        CHECK_STR(received(), "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=120000000");
}

static void test_interval(void)
{
        CHECK_INT(notify_alive_ms(), 60000); /* no watchdog: for the start timeout */
        CHECK(setenv("WATCHDOG_USEC", "40000000", 1) == 0);
        CHECK_INT(notify_alive_ms(), 20000);
        char other[16];
        (void) snprintf(other, sizeof(other), "%d", (int) getpid() + 1);
        CHECK(setenv("WATCHDOG_PID", other, 1) == 0); /* meant for another process */
        CHECK_INT(notify_alive_ms(), 60000);
}

static int half_a_second(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        int r = wait_sleep(step_wait(context), 500, err);
        return r < 0 ? r : 1;
}

static unsigned role(void *userdata)
{
        (void) userdata;
        return 1;
}

static void test_engine_pings(void)
{
        const Step row[] = { { .name = "a",
                               .runs_on = 1,
                               .probe = half_a_second,
                               .retry = { .first_ms = 10, .max_ms = 10 } } };
        MachineOptions options = {
                .steps = row, .n_steps = 1, .kind = role, .all_kinds = 1, .stop_fd = -1
        };
        Error error = {};
        CHECK(unsetenv("WATCHDOG_PID") == 0 && setenv("WATCHDOG_USEC", "200000", 1) == 0);
        uint64_t before = wait_now_ms();
        CHECK_OK(machine_run(&options, NULL, &error), error);
        uint64_t took = wait_now_ms() - before;
        uint64_t pings = 0;
        while (strstr(received(), "WATCHDOG=1")) {
                pings++;
        }
        CHECK(pings >= 2 && pings <= took / 100); /* half of 200 ms, over 500 ms and more */
}

static void test_by_hand(void)
{
        MachineStatus s = converging();
        CHECK(unsetenv("NOTIFY_SOCKET") == 0);
        CHECK_INT(notify_alive_ms(), 0);
        notify_status(&s, NULL, (char[NOTIFY_STATUS_MAX]) { "" });
        notify_ready();
        CHECK_STR(received(), "");
}

int main(void)
{
        if (!listen_as_systemd()) {
                perror("socket");
                return EXIT_FAILURE;
        }
        test_case("the status line names who holds things up", test_text);
        test_case("messages", test_messages);
        test_case("how often a sign of life is due", test_interval);
        test_case("the engine's loop gives them", test_engine_pings);
        test_case("nothing is told where nobody listens", test_by_hand);
        (void) close(fd);
        return test_done();
}
