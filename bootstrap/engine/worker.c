/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/worker.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/string.h"
#include "engine/step.h"

/* Enough for libcurl, OpenSSL and libmount with sanitizers on; only pages that are touched take
 * memory. */
#define WORKER_STACK_BYTES ((size_t) 1 << 20)

typedef struct JobQueue {
        Job *first, **end;
} JobQueue;

struct Workers {
        pthread_mutex_t lock;
        pthread_cond_t more;
        JobQueue queued, finished;
        size_t n_free; /* threads without a job, less the jobs queued for them */
        bool ending;
        int fd;
        pthread_t threads[STEPS_MAX]; /* a step has one job at a time */
        size_t n_threads;
};

static void queue_add(JobQueue *queue, Job *job)
{
        job->next = NULL;
        *queue->end = job;
        queue->end = &job->next;
}

static Job *queue_take_all(JobQueue *queue)
{
        Job *first = queue->first;
        *queue = (JobQueue) { .end = &queue->first };
        return first;
}

static Job *queue_take_one(JobQueue *queue)
{
        Job *job = queue->first;
        queue->first = job->next;
        if (!queue->first) {
                queue->end = &queue->first;
        }
        return job;
}

void worker_wake(Workers *workers)
{
        /* fails only where the counter is full, and then the engine is awake */
        (void) eventfd_write(workers->fd, 1);
}

static void *worker_main(void *argument)
{
        Workers *w = argument;
        (void) pthread_mutex_lock(&w->lock);
        for (;;) {
                while (!w->queued.first && !w->ending) {
                        (void) pthread_cond_wait(&w->more, &w->lock);
                }
                if (!w->queued.first) {
                        break;
                }
                Job *job = queue_take_one(&w->queued);
                (void) pthread_mutex_unlock(&w->lock);
                job->run(job);
                (void) pthread_mutex_lock(&w->lock);
                queue_add(&w->finished, job);
                w->n_free++;
                worker_wake(w);
        }
        (void) pthread_mutex_unlock(&w->lock);
        return NULL;
}

int workers_new(Workers **ret, Error *err)
{
        _cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0) {
                return error_errno(err, errno, "make an eventfd");
        }
        Workers *w = calloc(1, sizeof(*w));
        if (!w) {
                return error_oom(err);
        }
        w->fd = TAKE_FD(fd);
        (void) pthread_mutex_init(&w->lock, NULL); /* cannot fail with default attributes */
        (void) pthread_cond_init(&w->more, NULL);
        w->queued.end = &w->queued.first;
        w->finished.end = &w->finished.first;
        *ret = w;
        return 0;
}

static int thread_make(Workers *w, Error *err)
{
        if (w->n_threads == ELEMENTS(w->threads)) {
                return error_set(err, ERROR_FATAL, EAGAIN, "more jobs than steps");
        }
        pthread_attr_t attributes;
        int r = -pthread_attr_init(&attributes);
        if (r < 0) {
                return error_errno(err, r, "make a thread");
        }
        r = -pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
        if (r == 0) {
                r = -pthread_create(&w->threads[w->n_threads], &attributes, worker_main, w);
        }
        (void) pthread_attr_destroy(&attributes);
        if (r < 0) {
                return error_errno(err, r, "make a thread");
        }
        w->n_threads++;
        return 0;
}

int workers_start(Workers *w, Job *job, Error *err)
{
        (void) pthread_mutex_lock(&w->lock);
        bool idle = w->n_free > 0;
        w->n_free -= idle;
        (void) pthread_mutex_unlock(&w->lock);
        int r = idle ? 0 : thread_make(w, err);
        if (r < 0) {
                return r;
        }
        (void) pthread_mutex_lock(&w->lock);
        queue_add(&w->queued, job);
        (void) pthread_cond_signal(&w->more);
        (void) pthread_mutex_unlock(&w->lock);
        return 0;
}

int workers_fd(const Workers *workers)
{
        return workers->fd;
}

Job *workers_finished(Workers *w)
{
        eventfd_t count;
        (void) eventfd_read(w->fd, &count); /* nothing to read is fine */
        (void) pthread_mutex_lock(&w->lock);
        Job *jobs = queue_take_all(&w->finished);
        (void) pthread_mutex_unlock(&w->lock);
        return jobs;
}

void workers_free(Workers *w)
{
        if (!w) {
                return;
        }
        (void) pthread_mutex_lock(&w->lock);
        w->ending = true;
        (void) pthread_cond_broadcast(&w->more);
        (void) pthread_mutex_unlock(&w->lock);
        for (size_t i = 0; i < w->n_threads; i++) {
                (void) pthread_join(w->threads[i], NULL);
        }
        (void) pthread_cond_destroy(&w->more);
        (void) pthread_mutex_destroy(&w->lock);
        (void) close(w->fd);
        free(w);
}
