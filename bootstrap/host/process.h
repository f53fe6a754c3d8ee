/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/string.h"
#include "base/wait.h"

/* A child: argv[0] is an absolute path, no shell; environment PATH, LC_ALL=C and what `environment`
 * names (NULL-terminated "K=V"), nothing inherited, no descriptor either; standard input /dev/null,
 * or `input`; default signal handlers and mask; killed when the thread that runs it dies; a session
 * of its own, so without a terminal, and what is left of its group dies with it. */
typedef struct ProcessOptions {
        const char *const *argv;
        const char *const *environment;
        const void *input; /* written to its standard input; NULL: /dev/null */
        size_t input_size;
        size_t output_max; /* bytes of standard output kept; 0: 64 KiB */
} ProcessOptions;

typedef struct ProcessResult {
        int exit_status; /* 0..255, or -1 when ended by a signal */
        int signal;      /* that signal, else 0 */
        Buffer output;   /* standard output */
        Buffer errors;   /* the last 4 KiB of standard error */
} ProcessResult;

/* Runs it to its end. 0 once it has ended, however; what an exit status means is the caller's
 * matter. Fails when it cannot be started (ENOENT: ERROR_CONFIG, the image lacks it), or the wait
 * is over (SIGTERM, SIGKILL 5 s later, and reaped then). Command, status and last lines go to the
 * journal (LOG_ID_CHILD). */
int process_run(const ProcessOptions *options, const Wait *wait, ProcessResult *ret, Error *err);

/* As process_run(), and an exit status other than 0 is ERROR_FATAL with the last line of what the
 * program said. */
int process_run_checked(const ProcessOptions *options, const Wait *wait, ProcessResult *ret,
                        Error *err);

void process_result_done(ProcessResult *result);
#define _cleanup_process_result_ _cleanup_(process_result_done)
