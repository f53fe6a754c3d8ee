/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/string.h"

#define AT_ONCE 4

typedef struct Work {
        ParallelJob *job;
        void *userdata;
        size_t n;
        atomic_size_t next;
        pthread_mutex_t mutex;
        int result; /* of the first job that failed, as is `error` */
        Error error;
} Work;

static int work_on(Work *work)
{
        for (;;) {
                size_t i = atomic_fetch_add(&work->next, 1);
                if (i >= work->n) {
                        return 0;
                }
                Error failed = {};
                int r = work->job(work->userdata, i, &failed);
                if (r < 0) {
                        atomic_store(&work->next, work->n); /* no thread begins another job */
                        (void) pthread_mutex_lock(&work->mutex);
                        if (work->result >= 0) {
                                work->result = r;
                                work->error = failed;
                        }
                        (void) pthread_mutex_unlock(&work->mutex);
                        return r;
                }
        }
}

static void *parallel_worker(void *userdata)
{
        (void) work_on(userdata); /* the result is in *work */
        return NULL;
}

int parallel_do(size_t n, ParallelJob *job, void *userdata, Error *err)
{
        Work work = { .job = job, .userdata = userdata, .n = n };
        pthread_t threads[AT_ONCE - 1];
        size_t started = 0;
        (void) pthread_mutex_init(&work.mutex, NULL); /* cannot fail without attributes */
        while (started < ELEMENTS(threads) && started + 1 < n &&
               pthread_create(&threads[started], NULL, parallel_worker, &work) == 0) {
                started++; /* if the kernel gives no more threads, fewer do the work */
        }
        (void) work_on(&work);
        for (size_t i = 0; i < started; i++) {
                (void) pthread_join(threads[i],
                                    NULL); /* fails only for a thread that is not ours */
        }
        (void) pthread_mutex_destroy(&work.mutex);
        if (work.result < 0) {
                *err = work.error;
        }
        return work.result;
}
