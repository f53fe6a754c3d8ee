/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned n_cases, n_failed;
static bool case_failed;
static char folder[64];

/* What follows lacks what was to be made; and servers of the test may yet be at work. */
static void end_if_tortured(void)
{
        if (getenv("TORTURE_FAIL_AT")) {
                (void) fflush(stdout);
                _exit(n_failed || case_failed ? EXIT_FAILURE : EXIT_SUCCESS);
        }
}

void test_fail(const char *file, int line, const char *format, ...)
{
        case_failed = true;
        printf("# %s:%d: ", file, line);
        va_list ap;
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n");
        end_if_tortured();
}

void test_case(const char *name, void (*function)(void))
{
        case_failed = false;
        function();
        n_cases++;
        n_failed += case_failed;
        printf("%s %u - %s\n", case_failed ? "not ok" : "ok", n_cases, name);
        (void) fflush(stdout);
}

void test_skip(const char *name, const char *reason)
{
        printf("ok %u - %s # SKIP %s\n", ++n_cases, name, reason);
        (void) fflush(stdout);
}

void test_cases_if(bool possible, const char *needs, const TestCase *cases, size_t n)
{
        FOREACH_ARRAY(c, cases, n) {
                if (possible) {
                        test_case(c->name, c->function);
                } else {
                        test_skip(c->name, needs);
                }
        }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

int test_done(void)
{
        if (folder[0] && nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
                perror(folder);
        }
        printf("1..%u\n", n_cases);
        end_if_tortured();
        return n_failed || !n_cases ? EXIT_FAILURE : EXIT_SUCCESS;
}

const char *test_folder(void)
{
        if (!folder[0]) {
                const char *temporary = getenv("TMPDIR");
                (void) snprintf(folder, sizeof(folder), "%s/kube-bootstrap-test-XXXXXX",
                                temporary ? temporary : "/tmp");
                if (!mkdtemp(folder)) {
                        perror("mkdtemp");
                        exit(EXIT_FAILURE);
                }
        }
        return folder;
}

Wait test_wait(unsigned seconds)
{
        return (Wait) { .deadline_ms = wait_now_ms() + (uint64_t) seconds * 1000, .stop_fd = -1 };
}

Wait test_patience(void)
{
        return test_wait(getenv("TORTURE_FAIL_AT") ? 20 : 180);
}
