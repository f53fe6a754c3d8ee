/* SPDX-License-Identifier: Apache-2.0 */

/* What --verbose shows: a line for each effect on the outside. */

#include "base/effect.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "harness.h"
#include "host/process.h"

static Error err;
static char heard[4096]; /* what went to standard error */

/* Does it with standard error going to `heard`. */
static void hear(void (*work)(void))
{
        int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
        int fd = memfd_create("heard", MFD_CLOEXEC);
        REQUIRE(saved >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
        work();
        REQUIRE(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
        ssize_t n = pread(fd, heard, sizeof(heard) - 1, 0);
        heard[n > 0 ? n : 0] = '\0';
        (void) close(fd);
        (void) close(saved);
}

/* Whether a line begins so, and ends with a time. */
static bool was_traced(const char *begin)
{
        _cleanup_free_ char *text = string_format("kube-bootstrap: %s, ", begin);
        const char *line = text ? strstr(heard, text) : NULL;
        unsigned ms = 0, us = 0;
        int end = 0;
        return line && sscanf(line + strlen(text), "%u.%3u ms%n", &ms, &us, &end) == 2 &&
               line[strlen(text) + (size_t) end] == '\n';
}

static void write_and_remove(void)
{
        _cleanup_free_ char *path = string_format("%s/f", test_folder());
        REQUIRE(path);
        CHECK_OK(file_write(path, "content", 7, 0600, &err), err);
        CHECK_INT(file_remove(path, &err), 1);
        CHECK_INT(file_remove(path, &err), 0);
        CHECK_INT(file_write("/proc/none", "x", 1, 0600, &err), -ENOENT);
}

static void run_a_child(void)
{
        const char *argv[] = { "/bin/sh", "-c", "echo said; exit 3", NULL };
        const ProcessOptions options = { .argv = argv };
        _cleanup_process_result_ ProcessResult result = {};
        Wait wait = test_patience();
        CHECK_OK(process_run(&options, &wait, &result, &err), err);
        Wait over = {};
        _cleanup_process_result_ ProcessResult none = {};
        const char *missing[] = { "/none", NULL };
        const ProcessOptions cannot = { .argv = missing };
        CHECK(process_run(&cannot, &over, &none, &err) < 0);
        CHECK(process_run(&cannot, &wait, &none, &err) < 0);
}

static void nothing_is_traced(void)
{
        hear(write_and_remove);
        CHECK_STR(heard, "");
}

static void files_are_traced(void)
{
        log_set_verbose();
        hear(write_and_remove);
        const struct {
                const char *kind, *name, *result;
        } lines[] = {
                { "file", "f", "done" },
                { "rename", "f", "done" },
                { "unlink", "f", "done" },
                { "unlink", "f", "No such file or directory" },
        };
        FOREACH_ARRAY(line, lines, ELEMENTS(lines)) {
                _cleanup_free_ char *text = string_format("%s %s/%s: %s", line->kind, test_folder(),
                                                          line->name, line->result);
                CHECK(text && was_traced(text));
        }
        CHECK(was_traced("file /proc/none: No such file or directory"));
        CHECK(!strstr(heard, "content"));
}

static void children_are_traced(void)
{
        log_set_verbose();
        hear(run_a_child);
        CHECK(was_traced("child /bin/sh -c echo said; exit 3: exit status 3"));
        CHECK(was_traced("child /none: No such file or directory"));
}

int main(void)
{
        test_case("nothing is traced by default", nothing_is_traced);
        test_case("a file written, renamed, removed, and what fails", files_are_traced);
        test_case("a child and how it ended", children_are_traced);
        return test_done();
}
