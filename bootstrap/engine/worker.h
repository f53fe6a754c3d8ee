/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/* Threads that run blocking functions for the engine's thread. A thread is made when none is idle
 * and kept for the next job, so that what a module keeps per thread (connections) serves a step
 * from its probe to its last verification. All functions but worker_wake() are for the engine's
 * thread alone. */

typedef struct Job Job;
struct Job {
        void (*run)(Job *job); /* on a worker */
        Job *next;
};

typedef struct Workers Workers;

int workers_new(Workers **ret, Error *err);

/* Starts at once. ERROR_RETRY when the kernel has no thread to give; the job is then not started.
 */
int workers_start(Workers *workers, Job *job, Error *err);

/* Readable once a job has ended or worker_wake() was called; workers_finished() clears it. */
int workers_fd(const Workers *workers);
void worker_wake(Workers *workers); /* any thread */

/* The jobs that ended since the last call, in the order they ended, linked by `next`. */
Job *workers_finished(Workers *workers);

/* Waits for jobs that still run. */
void workers_free(Workers *workers);
