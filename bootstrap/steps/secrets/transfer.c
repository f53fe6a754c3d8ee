/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "steps/secrets/secrets_internal.h"

/* Some thirty small objects: one after the other they cost a round trip each, on a boot's longest
 * chain. A few threads share them; each keeps a connection. */

#define TRANSFERS_AT_ONCE 4

typedef struct Transfer {
        SecretsJob *job;
        void *userdata;
        size_t n;
        atomic_size_t next;
        pthread_mutex_t mutex;
        int result; /* of the first that failed, with its error */
        Error error;
} Transfer;

static int work_on(Transfer *transfer)
{
        for (;;) {
                size_t i = atomic_fetch_add(&transfer->next, 1);
                if (i >= transfer->n) {
                        return 0;
                }
                Error failed = {};
                int r = transfer->job(transfer->userdata, i, &failed);
                if (r < 0) {
                        atomic_store(&transfer->next, transfer->n); /* nobody begins another */
                        (void) pthread_mutex_lock(&transfer->mutex);
                        if (transfer->result >= 0) {
                                transfer->result = r;
                                transfer->error = failed;
                        }
                        (void) pthread_mutex_unlock(&transfer->mutex);
                        return r;
                }
        }
}

static void *worker(void *userdata)
{
        (void) work_on(userdata); /* the result is in the transfer */
        return NULL;
}

int secrets_transfer(size_t n, SecretsJob *job, void *userdata, Error *err)
{
        Transfer transfer = { .job = job, .userdata = userdata, .n = n };
        pthread_t threads[TRANSFERS_AT_ONCE - 1];
        size_t started = 0;
        (void) pthread_mutex_init(&transfer.mutex, NULL); /* cannot fail without attributes */
        while (started < ELEMENTS(threads) && started + 1 < n &&
               pthread_create(&threads[started], NULL, worker, &transfer) == 0) {
                started++; /* where there is no room for more threads, fewer do */
        }
        (void) work_on(&transfer);
        for (size_t i = 0; i < started; i++) {
                (void) pthread_join(threads[i],
                                    NULL); /* fails for a thread that is not ours only */
        }
        (void) pthread_mutex_destroy(&transfer.mutex);
        if (transfer.result < 0 && err) {
                *err = transfer.error;
        }
        return transfer.result;
}
