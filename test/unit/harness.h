/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A unit test is a program: cases run in order, each prints a TAP line (https://testanything.org).
 *   PROGRAM               all of them
 *   PROGRAM -k CASE       those with this number, or with this text in their name
 *   PROGRAM -l, --list    their numbers and names
 * It goes to the root of the source tree that it was built in. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "base/string.h"
#include "base/wait.h"

void test_case(const char *name, void (*function)(void));
void test_skip(const char *name, const char *reason); /* in its place, never silently */

typedef struct TestCase {
        const char *name;
        void (*function)(void);
} TestCase;

/* One after the other; all skipped where the machine does not have what they need. */
void test_cases_if(bool possible, const char *needs, const TestCase *cases, size_t n);

/* Cases that build on those before them, which -k therefore runs as well. Where the machine lacks
 * what they need, they are skipped. */
void test_chain(const char *lacks, const TestCase *cases, size_t n);
int test_done(void); /* the plan; main()'s result */

/* A diagnostic; the running case fails, or outside of one the program does. */
void test_fail(const char *file, int line, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The rest of the case is not worth running after this failed: it returns. */
#define REQUIRE(condition)                                               \
        do {                                                             \
                if (!(condition)) {                                      \
                        test_fail(__FILE__, __LINE__, "%s", #condition); \
                        return;                                          \
                }                                                        \
        } while (0)

#define CHECK(condition)                                                 \
        do {                                                             \
                if (!(condition)) {                                      \
                        test_fail(__FILE__, __LINE__, "%s", #condition); \
                }                                                        \
        } while (0)

#define CHECK_INT(actual, expected)                                                             \
        do {                                                                                    \
                long long _a = (actual), _e = (expected);                                       \
                if (_a != _e) {                                                                 \
                        test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #actual, _a, \
                                  _e);                                                          \
                }                                                                               \
        } while (0)

#define CHECK_STR(actual, expected)                                                             \
        do {                                                                                    \
                const char *_a = (actual), *_e = (expected);                                    \
                if (!streq_ptr(_a, _e)) {                                                       \
                        test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #actual, \
                                  _a ? _a : "(null)", _e ? _e : "(null)");                      \
                }                                                                               \
        } while (0)

#define CHECK_CONTAINS(text, part)                                                               \
        do {                                                                                     \
                const char *_t = (text);                                                         \
                if (!_t || !strstr(_t, (part))) {                                                \
                        test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", _t ? _t : "(null)", \
                                  (part));                                                       \
                }                                                                                \
        } while (0)

/* An operation that must succeed: prints the error if not. */
#define CHECK_OK(call, error)                                                                    \
        do {                                                                                     \
                int _r = (call);                                                                 \
                if (_r < 0) {                                                                    \
                        test_fail(__FILE__, __LINE__, "%s: %d: %s", #call, _r, (error).message); \
                }                                                                                \
        } while (0)

/* A folder of the test's own, removed by test_done(). */
const char *test_folder(void);

/* Less than the half minute and more that the tests let something wait in full, and more than a
 * busy machine takes for what ends such a wait at once. */
#define TEST_CUT_SHORT_MS 20000

/* A wait of so many seconds, without a stop request. */
Wait test_wait(unsigned seconds);

/* A wait that only keeps the test from hanging: minutes, because the machine may be slow and busy.
 * TEST_PATIENCE_S shortens it where the code was spoiled, and what is waited for may never come. */
Wait test_patience(void);
unsigned test_patience_s(void);
