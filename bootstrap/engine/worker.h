/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/* Threads that run blocking functions for the engine's thread. A thread is made when none is idle,
 * and is kept for later jobs, so that what a module keeps per thread (connections) is used again.
 * All functions but worker_wake() are for the engine's thread only. */

typedef struct Job Job;
struct Job {
        void (*run)(Job *job); /* on a worker */
        Job *next;
};

typedef struct Workers Workers;

int workers_new(Workers **ret, Error *err);

/* Starts the job at once. Returns ERROR_RETRY if the kernel has no thread to give; the job is then
 * not started. */
int workers_start(Workers *workers, Job *job, Error *err);

/* Returns a descriptor that is readable once a job has ended or worker_wake() was called.
 * workers_finished() clears it. */
int workers_fd(const Workers *workers);
void worker_wake(Workers *workers); /* any thread */

/* Returns the jobs that ended since the last call, in the order in which they ended, linked by
 * `next`. */
Job *workers_finished(Workers *workers);

/* Waits for jobs that still run, then ends the threads. */
void workers_free(Workers *workers);
