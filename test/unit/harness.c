/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned n_cases, n_failed, n_known;
static bool case_runs, case_failed, failed_outside, lists;
static const char *wanted; /* a case's number or a part of its name; NULL: all cases */
static char folder[PATH_MAX];

/* Goes to the root of the tree, where the tests' relative paths begin, from
 * TREE/build/VARIANT/unit/. A program that was copied elsewhere stays where it was started. */
static void go_to_root(void)
{
        char path[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        path[n > 0 ? n : 0] = '\0';
        for (int i = 0; i < 4; i++) {
                char *slash = strrchr(path, '/');
                *(slash ? slash : path) = '\0';
        }
        int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        bool is_root = root >= 0 && faccessat(root, "bootstrap", F_OK, 0) == 0;
        if ((is_root ? fchdir(root) : access("bootstrap", F_OK)) < 0) {
                printf("# not in the source tree: what the tests read of it is missing\n");
        }
        (void) close(root);
}

/* The C library gives main()'s arguments to constructors as well. Other words are the program's. */
static __attribute__((constructor)) void read_arguments(int argc, char **argv)
{
        if (argc == 3 && streq(argv[1], "-k")) {
                wanted = argv[2];
        } else if (argc == 2 && (streq(argv[1], "-l") || streq(argv[1], "--list"))) {
                lists = true;
        } else if (argc > 1) {
                return;
        }
        go_to_root();
}

/* Returns whether the case with this number is to be run. */
static bool is_wanted(unsigned number, const char *name)
{
        char text[16];
        (void) snprintf(text, sizeof(text), "%u", number);
        bool is_number = wanted && wanted[strspn(wanted, "0123456789")] == '\0';
        return !wanted || (is_number ? streq(wanted, text) : strstr(name, wanted) != NULL);
}

/* Counts a case, which is not run if only a list is asked for. */
static bool next_case(const char *name)
{
        n_known++;
        if (lists) {
                printf("%u %s\n", n_known, name);
        }
        return !lists;
}

/* What follows lacks what was to be made; and servers of the test may yet be at work. */
static void end_if_tortured(void)
{
        if (getenv("TORTURE_FAIL")) {
                (void) fflush(stdout);
                _exit(n_failed || case_failed || failed_outside ? EXIT_FAILURE : EXIT_SUCCESS);
        }
}

void test_fail(const char *file, int line, const char *format, ...)
{
        *(case_runs ? &case_failed : &failed_outside) = true;
        printf("# %s:%d: ", file, line);
        va_list ap;
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n");
        end_if_tortured();
}

static void run_case(const char *name, void (*function)(void))
{
        case_failed = false;
        case_runs = true;
        function();
        case_runs = false;
        n_cases++;
        n_failed += case_failed;
        printf("%s %u - %s\n", case_failed ? "not ok" : "ok", n_cases, name);
        (void) fflush(stdout);
}

void test_case(const char *name, void (*function)(void))
{
        if (next_case(name) && is_wanted(n_known, name)) {
                run_case(name, function);
        }
}

void test_skip(const char *name, const char *reason)
{
        if (next_case(name) && is_wanted(n_known, name)) {
                printf("ok %u - %s # SKIP %s\n", ++n_cases, name, reason);
                (void) fflush(stdout);
        }
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

void test_chain(const char *lacks, const TestCase *cases, size_t n)
{
        size_t n_wanted = n;
        while (n_wanted > 0 &&
               !is_wanted(n_known + (unsigned) n_wanted, cases[n_wanted - 1].name)) {
                n_wanted--;
        }
        for (size_t i = 0; i < n; i++) {
                if (lacks) {
                        test_skip(cases[i].name, lacks);
                } else if (next_case(cases[i].name) && i < n_wanted) {
                        run_case(cases[i].name, cases[i].function);
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
        if (lists) {
                return EXIT_SUCCESS;
        }
        if (failed_outside) {
                printf("# a check outside the cases failed\n");
        }
        if (n_cases == 0) {
                printf("# there is no such case\n");
        }
        printf("1..%u\n", n_cases);
        end_if_tortured();
        return n_failed || failed_outside || !n_cases ? EXIT_FAILURE : EXIT_SUCCESS;
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

unsigned test_patience_s(void)
{
        const char *seconds = getenv("TEST_PATIENCE_S");
        return seconds ? (unsigned) strtoul(seconds, NULL, 10) : 180;
}

Wait test_patience(void)
{
        return test_wait(test_patience_s());
}
