/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The program over steps that are fakes, for the tests of cli/: a world, shared with the processes
 * that cli_main() runs in, in which each step is so or not. It defines the step functions and what
 * else steps/ has but the table: a test that is linked with it has nothing of the real steps. */

#include <stdatomic.h>
#include <stdbool.h>

#include "cli/runtime.h"
#include "harness.h"
#include "steps/boot.h"

typedef struct World {
        atomic_int so[_BOOT_STEP_MAX]; /* what the probe says */
        atomic_int probes[_BOOT_STEP_MAX], applies[_BOOT_STEP_MAX];
        atomic_uint probe_ms[_BOOT_STEP_MAX]; /* how long a probe takes, unless stopped */
        atomic_bool held[_BOOT_STEP_MAX];     /* the probe waits, unless stopped */
        atomic_int fails[_BOOT_STEP_MAX];     /* the probe: with the class below */
        atomic_int apply_fails[_BOOT_STEP_MAX];
        ErrorClass class;
        ErrorSource source;
        _Atomic time_t later_s;               /* the clocks are ahead by, where the test says so */
        atomic_int clients;                   /* of AWS, made */
        atomic_int stack_ready, stack_failed; /* how often the stack was told */
        atomic_int stack_fails;               /* the first n times */
        int stack_says;                       /* what it answers then: 0 stands for 1 */
} World;

#define OUTPUT_MAX (1 << 20)

typedef struct Program {
        int pid;
        int fd; /* its standard output and error */
        char output[OUTPUT_MAX];
        size_t n;
} Program;

#define WORDS(...) ((const char *const[]) { __VA_ARGS__ __VA_OPT__(, ) NULL })

extern World *world;

/* What happens to steps, a mask each: written by the test, read by the program. */
extern int happens_fds[2];

/* A file of the runtime folder. */
const char *runtime_path(const char *name);

/* All is as on a blank machine, but for config and identity; nothing has run yet. */
void world_reset(void);

/* Of all steps together. */
int world_applies(void);

/* cli_main() in a process of its own; on a terminal if that is asked for. */
void program_start(Program *p, bool terminal, const char *const *words);

/* Where systemd would listen (sd_notify(3)), and what it heard so far. Read whenever the test waits
 * for anything: ten messages fit in the socket, and then the sender waits. */
extern int systemd_fd;
extern char systemd_heard[OUTPUT_MAX];

/* Waits for more from the program (where there is one) and for systemd, and reads it. Returns false
 * at the program's end, and at the deadline, also if more came: the text so far is printed then,
 * and the program is killed. */
bool world_read(Program *p, const Wait *wait);

/* Waits a moment for what systemd is told, and reads it. */
void systemd_read_soon(void);

/* Waits until the condition holds, and reads meanwhile what systemd is told. */
#define WORLD_UNTIL(condition)                                                              \
        do {                                                                                \
                Wait _wait = test_patience();                                               \
                bool _holds;                                                                \
                while (!(_holds = (condition)) && wait_check(&_wait, ERROR_IGNORED) == 0) { \
                        systemd_read_soon();                                                \
                }                                                                           \
                if (!_holds) {                                                              \
                        test_fail(__FILE__, __LINE__, "never came: %s", #condition);        \
                }                                                                           \
        } while (0)

/* Reads what it says until `text` was said; false when it ended without. */
bool program_says(Program *p, const char *text);

/* Reads to its end: the exit status, -1 when a signal ended it. */
int program_end(Program *p);

/* Start to end; what it said is in *p. */
int program_run(Program *p, const char *const *words);
