/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/string.h"
#include "base/wait.h"

/* A child process. argv[0] is an absolute path; there is no shell. The environment is PATH,
 * LC_ALL=C and what `environment` names (NULL-terminated "K=V"). Nothing else is inherited, not
 * even a descriptor. Standard input is /dev/null, or `input`. Signal handlers and mask are the
 * defaults. The child is killed when the thread that runs it dies. It has its own session, so no
 * terminal, and what is left of its process group is killed when it ends. */
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

/* Runs the program to its end. Returns 0 once it has ended, whatever its exit status; the caller
 * judges the status. Fails when the program cannot be started (ENOENT: ERROR_CONFIG, the image
 * lacks it), or when the wait is over (SIGTERM, SIGKILL 5 s later, and then the child is reaped).
 * Command, status and last lines go to the journal (LOG_ID_CHILD). */
int process_run(const ProcessOptions *options, const Wait *wait, ProcessResult *ret, Error *err);

/* Like process_run(), but an exit status other than 0 is ERROR_FATAL with the last line of the
 * program's output. */
int process_run_checked(const ProcessOptions *options, const Wait *wait, ProcessResult *ret,
                        Error *err);

void process_result_done(ProcessResult *result);
#define _cleanup_process_result_ _cleanup_(process_result_done)
