/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* How long a blocking call may take, and what ends it early. Passed down to everything that waits,
 * so that each wait has a deadline and wakes at once on a stop request. */
typedef struct Wait {
        uint64_t deadline_ms; /* on wait_now_ms()'s clock; UINT64_MAX: none */
        int stop_fd;          /* readable once the work is to stop; negative: never */
} Wait;

/* CLOCK_BOOTTIME in milliseconds: an instance that was hibernated has really waited. */
uint64_t wait_now_ms(void);

/* A part of *wait: ends after timeout_ms, or with the whole if that is sooner. */
Wait wait_part(const Wait *wait, uint64_t timeout_ms);

/* Milliseconds left, 0 once over, at most INT32_MAX so that it fits poll(2) and libcurl. */
int wait_left_ms(const Wait *wait);

/* 0, or ERROR_RETRY with -ECANCELED (stop was requested) or -ETIMEDOUT, which is `bare`. */
int wait_check(const Wait *wait, Error *err);

/* Sleeps; 0 after sleep_ms, else as wait_check(). */
int wait_sleep(const Wait *wait, uint64_t sleep_ms, Error *err);

/* Until fd has `events` (poll(2)): 1, or 0 when the deadline passed, or -ECANCELED. */
int wait_fd(const Wait *wait, int fd, short events, Error *err);

/* Waits as wait_fd() does, for several: the first of `fds` is left for the stop request, the others
 * say in `revents` what there is. */
struct pollfd;
int wait_fds(const Wait *wait, struct pollfd *fds, size_t n, Error *err);

/* Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): random between 0 and
 * min(max_ms, first_ms * 2^attempt); attempt counts from 0. Never less than first_ms / 4, so that a
 * row of unlucky draws is not a busy loop. */
uint64_t wait_backoff_ms(uint64_t first_ms, uint64_t max_ms, unsigned attempt);
