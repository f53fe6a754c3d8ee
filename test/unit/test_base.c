/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "harness.h"

static void strings(void)
{
        uint64_t value = 7;
        CHECK_INT(string_parse_u64("0", 10, &value), 0);
        CHECK_INT(value, 0);
        CHECK_INT(string_parse_u64("18446744073709551615", UINT64_MAX, &value), 0);
        CHECK(value == UINT64_MAX);
        CHECK_INT(string_parse_u64("18446744073709551616", UINT64_MAX, &value), -ERANGE);
        CHECK_INT(string_parse_u64("11", 10, &value), -ERANGE);
        static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1", "1.0" };
        FOREACH_ARRAY(b, bad, ELEMENTS(bad)) {
                CHECK_INT(string_parse_u64(*b, 10, &value), -EINVAL);
        }
        CHECK(string_ends_with("a.img", ".img") && !string_ends_with("g", ".img"));
        char hex[5], text[] = "x \n\t ";
        string_hex("\x0f\xa0", 2, hex);
        CHECK_STR(hex, "0fa0");
        CHECK_STR(string_strip_end(text), "x");
}

static void buffer_is_bounded(void)
{
        _cleanup_buffer_ Buffer b = { .max = 4 };
        CHECK_INT(buffer_append_string(&b, "abc"), 0);
        CHECK_INT(buffer_append_string(&b, "de"), -EFBIG);
        CHECK_STR(b.data, "abc");
        CHECK_INT(buffer_append_string(&b, "d"), 0);
        CHECK_INT(buffer_append(&b, "", SIZE_MAX), -EFBIG);
        CHECK_INT(b.size, 4);
}

static void errno_table(void)
{
        CHECK_INT(error_class_from_errno(ETIMEDOUT), ERROR_RETRY);
        CHECK_INT(error_class_from_errno(-EBUSY), ERROR_RETRY);
        CHECK_INT(error_class_from_errno(EACCES), ERROR_DENIED);
        CHECK_INT(error_class_from_errno(EINVAL), ERROR_FATAL);
        for (ErrorClass c = 0; c < _ERROR_CLASS_MAX; c++) {
                CHECK_INT(error_class_from_string(error_class_to_string(c)), c);
        }
        CHECK_INT(error_class_from_string("?"), _ERROR_CLASS_INVALID);
        Error err = {};
        CHECK_INT(error_errno(&err, ENOENT, "open %s", "x"), -ENOENT);
        CHECK_INT(error_prefix(&err, "mount %s", "y"), -ENOENT);
        CHECK_STR(err.message, "mount y: open x: No such file or directory");
        char big[2 * ERROR_MESSAGE_MAX];
        memset(big, 'a', sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        CHECK_INT(error_set(&err, ERROR_FATAL, 0, "%s", big), -EIO);
        CHECK_INT(strlen(err.message), ERROR_MESSAGE_MAX - 1);
        (void) error_errno(&err, EIO, "%s", big);
        (void) error_prefix(&err, "%s", big);
        CHECK_INT(strlen(err.message), ERROR_MESSAGE_MAX - 1);
}

static bool filesystem_is_old;

/* As on overlayfs before Linux 6.3. */
int open64(const char *path, int flags, ...)
{
        va_list arguments;
        va_start(arguments, flags);
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
        va_end(arguments);
        if (filesystem_is_old && (flags & O_TMPFILE) == O_TMPFILE) {
                errno = EOPNOTSUPP;
                return -1;
        }
        return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void file_without_nameless_ones(void)
{
        _cleanup_free_ char *folder = string_format("%s/old", test_folder());
        _cleanup_free_ char *path = string_format("%s/f", folder);
        REQUIRE(folder && path);
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        filesystem_is_old = true;
        CHECK_OK(file_make_directory(folder, 0700, &err), err);
        CHECK_OK(file_write(path, "one", 3, 0600, &err), err);
        CHECK_OK(file_write(path, "two", 3, 0600, &err), err);
        CHECK_OK(file_read(path, 3, &text, &err), err);
        CHECK_STR(text.data, "two");
        CHECK(mkdir(path, 0700) < 0 && file_remove(path, &err) == 1 && mkdir(path, 0700) == 0);
        CHECK_INT(file_write(path, "x", 1, 0600, &err), -EISDIR); /* and leaves nothing behind */
        CHECK(rmdir(path) == 0 && rmdir(folder) == 0);
        filesystem_is_old = false;
}

/* The syncs and renames of the code under test, in their order. */
static struct {
        const char *name;
        ino_t inode;
        off_t size; /* at that time */
} calls[8];
static size_t n_calls;
static unsigned n_syncs, failing_sync; /* which sync fails, from 1; 0: none */

static void note_call(const char *name, const struct stat *st)
{
        if (n_calls < ELEMENTS(calls)) {
                calls[n_calls].name = name;
                calls[n_calls].inode = st->st_ino;
                calls[n_calls].size = st->st_size;
        }
        n_calls++;
}

static void forget_calls(unsigned fails)
{
        n_calls = n_syncs = 0;
        failing_sync = fails;
}

/* In the C library's place, as open64() above. */
int fsync(int fd)
{
        struct stat st = {};
        (void) fstat(fd, &st);
        note_call("fsync", &st);
        if (++n_syncs == failing_sync) {
                errno = EIO; /* a disk that did not take it */
                return -1;
        }
        return (int) syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
        struct stat st = {};
        (void) lstat(from, &st);
        note_call("rename", &st);
        return (int) syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

static void check_text(const char *path, const char *expected)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        CHECK_OK(file_read(path, 64, &text, &err), err);
        CHECK_STR(text.data, expected);
}

/* The content is on the disk before the name is, and the name before the write has succeeded: a
 * power cut leaves the old file or the new one, whole. */
static void file_is_durable(void)
{
        for (unsigned old = 0; old < 2; old++) {
                _cleanup_free_ char *folder = string_format("%s/durable%u", test_folder(), old);
                _cleanup_free_ char *path = string_format("%s/f", folder);
                REQUIRE(folder && path);
                Error err = {};
                struct stat file, parent;
                filesystem_is_old = old;
                CHECK_OK(file_make_directory(folder, 0700, &err), err);
                CHECK_OK(file_write(path, "one", 3, 0600, &err), err);
                forget_calls(0);
                CHECK_OK(file_write(path, "three", 5, 0600, &err), err);
                CHECK(stat(path, &file) == 0 && stat(folder, &parent) == 0);
                CHECK_INT(n_calls, 3);
                CHECK_STR(calls[0].name, "fsync");
                CHECK_INT(calls[0].inode, file.st_ino);
                CHECK_INT(calls[0].size, 5);
                CHECK_STR(calls[1].name, "rename");
                CHECK_INT(calls[1].inode, file.st_ino);
                CHECK_STR(calls[2].name, "fsync");
                CHECK_INT(calls[2].inode, parent.st_ino);

                forget_calls(1); /* of the file: the old one stays, and nothing beside it */
                CHECK_INT(file_write(path, "four", 4, 0600, &err), -EIO);
                CHECK_CONTAINS(err.message, path);
                check_text(path, "three");
                forget_calls(2); /* of the folder: whether the name is on the disk is not known */
                CHECK_INT(file_write(path, "four", 4, 0600, &err), -EIO);
                check_text(path, "four");
                forget_calls(0);
                filesystem_is_old = false;
                CHECK(unlink(path) == 0 && rmdir(folder) == 0);
        }
}

static void file_replaces_atomically(void)
{
        char path[128], folder[128];
        struct stat st;
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        (void) snprintf(folder, sizeof(folder), "%s/a/b", test_folder());
        (void) snprintf(path, sizeof(path), "%s/f", folder);
        CHECK_OK(file_make_directory(folder, 0700, &err), err);
        CHECK_OK(file_make_directory(folder, 0700, &err), err);
        CHECK(stat(folder, &st) == 0 && (st.st_mode & 07777) == 0700);
        CHECK_INT(file_write_if_changed(path, "one", 3, 0600, &err), 1);
        CHECK_INT(file_write_if_changed(path, "one", 3, 0600, &err), 0);
        CHECK_INT(file_write_if_changed(path, "one", 3, 0644, &err), 1);
        CHECK_INT(file_write_if_changed(path, "two", 3, 0644, &err), 1);
        char how[FILE_DIFFERENCE_MAX];
        CHECK_INT(file_difference(path, "two", 3, 0644, how, &err), 0);
        CHECK_STR(how, "");
        CHECK_INT(file_difference(path, "two", 3, 0600, how, &err), 1);
        CHECK_CONTAINS(how, "f has mode 0644, expected 0600");
        CHECK_INT(file_difference(path, "too", 3, 0644, how, &err), 1);
        CHECK_CONTAINS(how, "f has another content than expected");
        CHECK_INT(file_difference(path, "", 0, 0644, how, &err), 1);
        CHECK_INT(file_difference(folder, "", 0, 0700, how, &err), 1);
        CHECK_CONTAINS(how, "is no regular file");
        CHECK_INT(file_difference("/nowhere/f", "", 0, 0644, how, &err), 1);
        CHECK_STR(how, "/nowhere/f is missing");
        CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0644);
        CHECK_OK(file_read(path, 3, &text, &err), err);
        CHECK_STR(text.data, "two");
        CHECK_INT(file_read(path, 2, &text, &err), -EFBIG);
        CHECK_INT(file_write("/proc/nowhere/f", "x", 1, 0600, &err), -ENOENT);
        CHECK_CONTAINS(err.message, "write /proc/nowhere/f");
        CHECK_INT(file_remove(path, &err), 1);
        CHECK_INT(symlink("f", path), 0);
        CHECK_INT(file_differs(path, "", 0, 0644, &err), 1); /* a link is not the file */
        CHECK_INT(file_remove(path, &err), 1);
        CHECK_INT(file_remove(path, &err), 0);

        _cleanup_free_ char *aside = string_format("%s.damaged", path);
        REQUIRE(aside);
        CHECK_INT(file_set_aside(path, &err), 0);
        for (unsigned i = 1; i <= 2; i++) { /* the second in place of the first */
                _cleanup_buffer_ Buffer kept = {};
                CHECK_OK(file_write(path, "12", i, 0600, &err), err);
                CHECK_INT(file_set_aside(path, &err), 1);
                CHECK(access(path, F_OK) < 0);
                CHECK_OK(file_read(aside, 16, &kept, &err), err);
                CHECK_INT(kept.size, i);
        }
        CHECK_INT(file_remove(aside, &err), 1);
}

static void file_from_the_future(void)
{
        _cleanup_free_ char *path = string_format("%s/clock", test_folder());
        REQUIRE(path);
        struct timespec now, times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000000 } };
        struct stat st;
        Error err = {};
        CHECK_INT(file_clamp_time(path, &err), -ENOENT);
        CHECK_OK(file_write(path, "x", 1, 0644, &err), err);
        CHECK_INT(file_clamp_time(path, &err), 0);
        CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
        CHECK_INT(file_clamp_time(path, &err), 0);
        CHECK(stat(path, &st) == 0);
        CHECK_INT(st.st_mtim.tv_sec, 1000000);
        (void) clock_gettime(CLOCK_REALTIME, &now);
        times[1].tv_sec = now.tv_sec + 3600;
        CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
        CHECK_INT(file_clamp_time(path, &err), 1);
        CHECK(stat(path, &st) == 0);
        CHECK(st.st_mtim.tv_sec >= now.tv_sec && st.st_mtim.tv_sec < now.tv_sec + 60);
}

static void waits_end(void)
{
        Error err = {};
        Wait w = { .deadline_ms = wait_now_ms() + 20, .stop_fd = -1 };
        CHECK_OK(wait_check(&w, &err), err);
        CHECK_OK(wait_sleep(&w, 1, &err), err);
        CHECK_INT(wait_sleep(&w, 1000, &err), -ETIMEDOUT);
        CHECK_INT(wait_check(&w, &err), -ETIMEDOUT);
        CHECK(err.unexplained);
        (void) error_prefix(&err, "the volume");
        CHECK(!err.unexplained);
        CHECK_INT(err.class, ERROR_RETRY);
        _cleanup_close_ int stop = eventfd(1, EFD_CLOEXEC);
        Wait stopped = { .deadline_ms = UINT64_MAX, .stop_fd = stop };
        CHECK_INT(wait_sleep(&stopped, 60000, &err), -ECANCELED);
        CHECK_INT(wait_left_ms(&stopped), INT32_MAX);
}

static void backoff_has_jitter_and_bounds(void)
{
        uint64_t least = UINT64_MAX, most = 0;
        for (unsigned i = 0; i < 1000; i++) {
                uint64_t ms = wait_backoff_ms(100, 5000, i % 64);
                CHECK(ms >= 25 && ms <= 5000);
                least = ms < least ? ms : least;
                most = ms > most ? ms : most;
        }
        CHECK(most > 2500 && least < 100);
}

static void secrets(void)
{
        _cleanup_secret_ Secret a = SECRET_INIT, b = SECRET_INIT;
        Error err = {};
        CHECK_OK(secret_random_hex(16, &a, &err), err);
        CHECK_OK(secret_random_hex(16, &b, &err), err);
        CHECK_INT(a.size, 32);
        CHECK(!streq(a.data, b.data));
}

/* In a child: a sanitizer that looks for leaks has to trace this process. */
static void protected_process(void)
{
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
                struct rlimit core = { 1, 1 };
                bool protected = secret_protect_process(ERROR_IGNORED) == 0 &&
                                 prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
                                 getrlimit(RLIMIT_CORE, &core) == 0;
                _exit(protected && core.rlim_cur == 0 && core.rlim_max == 0 ? 0 : 1);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK_INT(status, 0);
}

int main(void)
{
        test_case("base: numbers and strings", strings);
        test_case("base: a buffer keeps to its maximum", buffer_is_bounded);
        test_case("base: errors, their table and their context", errno_table);
        test_case("base: files are replaced whole", file_replaces_atomically);
        test_case("base: also where files need names", file_without_nameless_ones);
        test_case("base: a written file is on the disk, and its name", file_is_durable);
        test_case("base: a file from the future", file_from_the_future);
        test_case("base: waits end by deadline and by request", waits_end);
        test_case("base: backoff", backoff_has_jitter_and_bounds);
        test_case("base: random secrets", secrets);
        test_case("base: no core file, and nobody reads the memory", protected_process);
        return test_done();
}
