/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Programs that a test runs beside itself: a real dockerd, a real etcd. They die with the test. */

#include <pthread.h>

#include "harness.h"
#include "host/process.h"

typedef struct Daemon {
        char script[1024];
        Wait wait;
        ProcessResult result;
        pthread_t thread;
} Daemon;

void daemon_start(Daemon *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

void daemon_stop(Daemon *d);

int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
