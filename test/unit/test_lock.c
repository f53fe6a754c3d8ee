/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "engine/lock.h"
#include "harness.h"

static Error error;

static void test_take_and_release(void)
{
        _cleanup_free_ char *path = string_format("%s/lock", test_folder());
        REQUIRE(path);
        _cleanup_lock_ Lock lock = LOCK_INIT;
        int holder = -1;
        CHECK_INT(lock_try(path, &lock, &holder, &error), 1);
        _cleanup_buffer_ Buffer text = {};
        CHECK_OK(file_read(path, 100, &text, &error), error);
        _cleanup_free_ char *pid = string_format("%d\n", (int) getpid());
        REQUIRE(pid);
        CHECK_STR(text.data, pid);
        lock_release(&lock);
        lock_release(&lock); /* twice is fine */
        CHECK_INT(lock_try(path, &lock, &holder, &error), 1);
}

static void test_held(void)
{
        _cleanup_free_ char *path = string_format("%s/held", test_folder());
        REQUIRE(path);
        _cleanup_lock_ Lock lock = LOCK_INIT, other = LOCK_INIT;
        int holder = -1;
        CHECK_INT(lock_try(path, &lock, &holder, &error), 1);
        CHECK_INT(lock_try(path, &other, &holder, &error), 0); /* a second open file is another */
        CHECK_INT(holder, getpid());
        CHECK_INT(other.fd, -EBADF);
        lock_release(&lock);
        CHECK_INT(lock_try(path, &other, &holder, &error), 1);
}

/* A holder that is killed leaves its pid in the file, and no lock. */
static void test_killed_holder(void)
{
        _cleanup_free_ char *path = string_format("%s/killed", test_folder());
        REQUIRE(path);
        int ready[2];
        REQUIRE(pipe(ready) == 0);
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
                Lock lock = LOCK_INIT;
                int holder;
                char byte = (char) lock_try(path, &lock, &holder, &error);
                (void) !write(ready[1], &byte, 1);
                (void) pause();
                _exit(0);
        }
        char byte = 0;
        CHECK(read(ready[0], &byte, 1) == 1);
        CHECK_INT(byte, 1);
        _cleanup_lock_ Lock lock = LOCK_INIT;
        int holder = -1;
        CHECK_INT(lock_try(path, &lock, &holder, &error), 0);
        CHECK_INT(holder, child);
        (void) kill(child, SIGKILL);
        CHECK_INT(waitpid(child, NULL, 0), child);
        CHECK_INT(lock_try(path, &lock, &holder, &error), 1);
        (void) close(ready[0]);
        (void) close(ready[1]);
}

static void test_odd_content(void)
{
        _cleanup_free_ char *path = string_format("%s/odd", test_folder());
        REQUIRE(path);
        const char *const contents[] = { "", "\n", "abc\n", "-1\n", "99999999999999999999\n" };
        FOREACH_ARRAY(content, contents, ELEMENTS(contents)) {
                _cleanup_lock_ Lock lock = LOCK_INIT, other = LOCK_INIT;
                int holder = -1;
                CHECK_INT(lock_try(path, &lock, &holder, &error), 1);
                CHECK(ftruncate(lock.fd, 0) == 0);
                size_t n = strlen(*content);
                CHECK(pwrite(lock.fd, *content, n, 0) == (ssize_t) n);
                CHECK_INT(lock_try(path, &other, &holder, &error), 0);
                CHECK_INT(holder, 0);
        }
}

/* As with a full /run: the lock is what counts, not who is told of it. */
static void test_no_room_for_the_pid(void)
{
        _cleanup_free_ char *path = string_format("%s/full", test_folder());
        REQUIRE(path);
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
                const struct rlimit none = { 0, 0 };
                Lock lock = LOCK_INIT;
                int holder;
                (void) signal(SIGXFSZ, SIG_IGN);
                _exit(setrlimit(RLIMIT_FSIZE, &none) == 0 &&
                                      lock_try(path, &lock, &holder, &error) == 1
                              ? EXIT_SUCCESS
                              : EXIT_FAILURE);
        }
        int status = -1;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
        struct stat st;
        CHECK(stat(path, &st) == 0);
        CHECK_INT(st.st_size, 0);
        CHECK_INT(st.st_mode & 0777, 0600); /* flock(2) asks for no right to write */
}

static void test_errors(void)
{
        _cleanup_free_ char *path = string_format("%s/no-folder/lock", test_folder());
        REQUIRE(path);
        _cleanup_free_ char *link = string_format("%s/link", test_folder());
        REQUIRE(link);
        Lock lock = LOCK_INIT;
        int holder;
        CHECK_INT(lock_try(path, &lock, &holder, &error), -ENOENT);
        CHECK_CONTAINS(error.message, path);
        CHECK(symlink("/tmp/elsewhere", link) == 0);
        CHECK_INT(lock_try(link, &lock, &holder, &error), -ELOOP);
}

int main(void)
{
        test_case("taken, told, let go", test_take_and_release);
        test_case("held by another, and by whom", test_held);
        test_case("the lock of a killed holder is free", test_killed_holder);
        test_case("a pid that is none", test_odd_content);
        test_case("a lock without room for the pid, and for root alone", test_no_room_for_the_pid);
        test_case("errors, and no symbolic links", test_errors);
        return test_done();
}
