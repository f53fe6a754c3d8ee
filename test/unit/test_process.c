/* SPDX-License-Identifier: Apache-2.0 */
#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "harness.h"

static int shell_with(const char *script, ProcessOptions options, const Wait *wait,
                      ProcessResult *ret, Error *err)
{
        const char *argv[] = { "/bin/sh", "-c", script, NULL };
        options.argv = argv;
        return process_run(&options, wait, ret, err);
}

static int shell(const char *script, ProcessResult *ret, Error *err)
{
        Wait wait = test_patience();
        return shell_with(script, (ProcessOptions) {}, &wait, ret, err);
}

static void test_result(void)
{
        Error err = {};
        _cleanup_process_result_ ProcessResult result = {}, killed = {};
        CHECK_OK(shell("echo out; echo err >&2; exit 3", &result, &err), err);
        CHECK_INT(result.exit_status, 3);
        CHECK_INT(result.signal, 0);
        CHECK_STR(result.output.data, "out\n");
        CHECK_STR(result.errors.data, "err\n");
        CHECK_OK(shell("kill -USR1 $$", &killed, &err), err);
        CHECK_INT(killed.exit_status, -1);
        CHECK_INT(killed.signal, SIGUSR1);
        CHECK_STR(killed.output.data, "");
}

static void test_environment(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_process_result_ ProcessResult result = {};
        const char *argv[] = { "/usr/bin/env", NULL }, *environment[] = { "A=b c", NULL };
        ProcessOptions options = { .argv = argv, .environment = environment };
        CHECK_INT(setenv("AWS_SECRET_ACCESS_KEY", "x", 1), 0);
        CHECK_OK(process_run(&options, &wait, &result, &err), err);
        CHECK_STR(result.output.data, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\nA=b c\n");
}

static void test_descriptors(void)
{
        Error err = {};
        _cleanup_process_result_ ProcessResult result = {};
        int fds[2];
        REQUIRE(pipe(fds) == 0); /* not close-on-exec */
        CHECK_OK(shell("readlink /proc/$$/fd/0; for i in $(seq 3 99); do"
                       " [ ! -e /proc/$$/fd/$i ] || readlink /proc/$$/fd/$i; done",
                       &result, &err),
                 err);
        CHECK_STR(result.output.data, "/dev/null\n");
        (void) close(fds[0]);
        (void) close(fds[1]);
}

static void test_no_standard_descriptors(void)
{
        Error err = {};
        _cleanup_process_result_ ProcessResult result = {};
        int saved[3];
        for (int i = 0; i < 3; i++) { /* so that the pipes get these numbers */
                saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
                (void) close(i);
        }
        int r = shell("echo out; echo err >&2; readlink /proc/$$/fd/0", &result, &err);
        for (int i = 0; i < 3; i++) {
                (void) dup2(saved[i], i);
                (void) close(saved[i]);
        }
        CHECK_OK(r, err);
        CHECK_STR(result.output.data, "out\n/dev/null\n");
        CHECK_STR(result.errors.data, "err\n");
}

static void test_signals(void)
{
        Error err = {};
        _cleanup_process_result_ ProcessResult result = {};
        sigset_t set, before;
        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) pthread_sigmask(SIG_BLOCK, &set, &before);
        (void) signal(SIGPIPE, SIG_IGN);
        CHECK_OK(shell("while read -r name set; do case $name in"
                       " SigBlk:|SigIgn:) echo $name $set; esac; done < /proc/$$/status",
                       &result, &err),
                 err);
        /* 32 and 33 are glibc's own: it refuses to reset them, where the test's parent ignored them
         */
        unsigned long long blocked = 1, ignored = 1;
        CHECK_INT(sscanf(result.output.data, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
        CHECK(blocked == 0);
        CHECK((ignored & ~0x180000000ULL) == 0);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void test_input(void)
{
        Error err = {};
        Wait wait = test_patience();
        size_t n = 300000;
        _cleanup_free_ char *input = malloc(n);
        _cleanup_process_result_ ProcessResult result = {}, ignored = {};
        REQUIRE(input);
        memset(input, 'i', n);
        ProcessOptions options = { .input = input, .input_size = n, .output_max = n };
        CHECK_OK(shell_with("cat; cat /dev/stdin >&2", options, &wait, &result, &err), err);
        REQUIRE(result.output.size == n);
        CHECK(memcmp(result.output.data, input, n) == 0);
        CHECK_OK(shell_with("exit 0", options, &wait, &ignored, &err), err); /* never read */
        CHECK_INT(ignored.exit_status, 0);
}

static void test_output_limits(void)
{
        Error err = {};
        _cleanup_process_result_ ProcessResult result = {};
        CHECK_OK(shell("seq 1 1000000; seq 1 1000000 >&2", &result, &err), err);
        CHECK_INT(result.exit_status, 0);
        CHECK_INT(result.output.size, 64 << 10);
        REQUIRE(result.output.data && result.errors.data);
        CHECK(string_starts_with(result.output.data, "1\n2\n3\n"));
        CHECK_INT(result.errors.size, 4 << 10);
        CHECK(string_ends_with(result.errors.data, "\n999999\n1000000\n"));
}

static void test_cannot_start(void)
{
        Error err = {};
        Wait wait = test_patience();
        ProcessResult result = { .exit_status = 42 };
        const char *missing[] = { "/nonexistent/mkfs", NULL }, *folder[] = { "/tmp", NULL };
        ProcessOptions options = { .argv = missing };
        CHECK_INT(process_run(&options, &wait, &result, &err), -ENOENT);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_STR(err.message, "/nonexistent/mkfs: no such program");
        options.argv = folder;
        CHECK_INT(process_run(&options, &wait, &result, &err), -EACCES);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_INT(result.exit_status, 42); /* untouched */
        /* No child is left. (The first process of a namespace is given those of others, too.) */
        CHECK(getpid() == 1 || waitpid(-1, NULL, WNOHANG) == -1);
        CHECK_INT(errno, ECHILD);
}

static void test_checked(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_process_result_ ProcessResult result = {};
        const char *fails[] = { "/bin/sh", "-c", "echo out; printf 'a\\nbad\\tluck\\n' >&2; exit 8",
                                NULL };
        const char *says[] = { "/bin/sh", "-c", "echo only out; exit 1", NULL };
        const char *dies[] = { "/bin/sh", "-c", "kill -KILL $$", NULL };
        ProcessOptions options = { .argv = fails };
        CHECK_INT(process_run_checked(&options, &wait, &result, &err), -EIO);
        CHECK_INT(err.class, ERROR_FATAL);
        CHECK_STR(err.message, "/bin/sh: exit status 8: badluck");
        options.argv = says;
        CHECK(process_run_checked(&options, &wait, &result, &err) < 0);
        CHECK_STR(err.message, "/bin/sh: exit status 1: only out");
        options.argv = dies;
        CHECK(process_run_checked(&options, &wait, &result, &err) < 0);
        CHECK_STR(err.message, "/bin/sh: killed by signal 9");
}

static void test_deadline(void)
{
        Error err = {};
        ProcessResult result;
        Wait wait = { .deadline_ms = wait_now_ms() + 300, .stop_fd = -1 };
        uint64_t before = wait_now_ms();
        /* The grandchild holds the pipe; both go. */
        CHECK_INT(shell_with("sleep 60 & sleep 60", (ProcessOptions) {}, &wait, &result, &err),
                  -ETIMEDOUT);
        uint64_t took = wait_now_ms() - before;
        CHECK(took >= 300 && took < TEST_CUT_SHORT_MS);
        CHECK_STR(err.message, "/bin/sh: timed out");
        /* No child is left. (The first process of a namespace is given those of others, too.) */
        CHECK(getpid() == 1 || waitpid(-1, NULL, WNOHANG) == -1);
}

static void test_stubborn(void)
{
        Error err = {};
        ProcessResult result;
        Wait wait = { .deadline_ms = wait_now_ms() + 200, .stop_fd = -1 };
        uint64_t before = wait_now_ms();
        CHECK_INT(shell_with("trap '' TERM; while :; do sleep 1; done", (ProcessOptions) {}, &wait,
                             &result, &err),
                  -ETIMEDOUT);
        uint64_t took = wait_now_ms() - before;
        CHECK(took >= 5000 && took < 25000);
}

static void *stop_soon(void *userdata)
{
        Wait wait = test_patience();
        (void) wait_sleep(&wait, 200, ERROR_IGNORED);
        (void) eventfd_write(((const Wait *) userdata)->stop_fd, 1);
        return NULL;
}

static void test_stop(void)
{
        Error err = {};
        ProcessResult result;
        Wait wait = test_patience();
        pthread_t thread;
        wait.stop_fd = eventfd(0, EFD_CLOEXEC);
        REQUIRE(pthread_create(&thread, NULL, stop_soon, &wait) == 0);
        uint64_t before = wait_now_ms();
        CHECK_INT(shell_with("sleep 60", (ProcessOptions) {}, &wait, &result, &err), -ECANCELED);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
        (void) pthread_join(thread, NULL);
        (void) close(wait.stop_fd);
}

/* Gone, or only waiting for whoever adopted it. */
static void check_ends(const char *pid)
{
        char path[64];
        (void) snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
        Wait wait = test_patience();
        do {
                _cleanup_free_ char *line = NULL;
                if (file_read_line(path, &line) < 0 || strstr(line, ") Z ")) {
                        return;
                }
        } while (wait_sleep(&wait, 20, ERROR_IGNORED) == 0);
        test_fail(__FILE__, __LINE__, "process %s lives on", pid);
}

static void test_leftover(void)
{
        Error err = {};
        _cleanup_process_result_ ProcessResult result = {};
        uint64_t before = wait_now_ms();
        CHECK_OK(shell("sleep 60 & echo $!", &result, &err), err);
        CHECK(wait_now_ms() - before <
              TEST_CUT_SHORT_MS); /* the grandchild still had its end of the pipe */
        check_ends(string_strip_end(result.output.data));
}

static void test_parent_dies(void)
{
        char script[128], path[128];
        (void) snprintf(path, sizeof(path), "%s/pid", test_folder());
        (void) snprintf(script, sizeof(script), "echo $$ > %s; exec sleep 60", path);
        pid_t parent = fork();
        REQUIRE(parent >= 0);
        if (parent == 0) {
                ProcessResult result;
                (void) shell(script, &result, ERROR_IGNORED);
                _exit(0);
        }
        _cleanup_free_ char *pid = NULL;
        Wait wait = test_patience();
        while (isempty(pid) && wait_sleep(&wait, 20, ERROR_IGNORED) == 0) {
                free(TAKE(pid));
                (void) file_read_line(path, &pid); /* not there yet, or still empty: again */
        }
        (void) kill(parent, SIGKILL);
        (void) waitpid(parent, NULL, 0);
        REQUIRE(!isempty(pid));
        check_ends(pid);
}

int main(void)
{
        test_case("exit status, signal, output and errors", test_result);
        test_case("a clean environment", test_environment);
        test_case("no descriptor is inherited", test_descriptors);
        test_case("works where 0, 1 and 2 are closed", test_no_standard_descriptors);
        test_case("signals as at the start of a program", test_signals);
        test_case("input, read or not", test_input);
        test_case("the start of the output and the end of the errors are kept", test_output_limits);
        test_case("what cannot be started", test_cannot_start);
        test_case("a failure tells the last line", test_checked);
        test_case("a deadline ends the whole group", test_deadline);
        test_case("who ignores SIGTERM is killed", test_stubborn);
        test_case("a stop request ends it", test_stop);
        test_case("nothing is left behind", test_leftover);
        test_case("it dies with its parent", test_parent_dies);
        return test_done();
}
