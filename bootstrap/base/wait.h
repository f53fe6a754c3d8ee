/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The limits of a blocking call: a deadline, and a descriptor that ends it early. A Wait is passed
 * down to everything that waits, so that each wait has a deadline and ends at once on a stop
 * request. */
typedef struct Wait {
        uint64_t deadline_ms; /* on wait_now_ms()'s clock; UINT64_MAX: none */
        int stop_fd;          /* readable once the work is to stop; negative: never */
} Wait;

/* Returns CLOCK_BOOTTIME in milliseconds. This clock also counts the time in which an instance was
 * hibernated. */
uint64_t wait_now_ms(void);

/* Returns a part of *wait: it ends after timeout_ms, or with *wait if that is sooner. */
Wait wait_part(const Wait *wait, uint64_t timeout_ms);

/* Returns the milliseconds left: 0 after the deadline, at most INT32_MAX so that it fits poll(2)
 * and libcurl. */
int wait_left_ms(const Wait *wait);

/* Returns 0, or ERROR_RETRY with -ECANCELED (stop was requested) or -ETIMEDOUT, which is
 * `unexplained`. */
int wait_check(const Wait *wait, Error *err);

/* Sleeps. Returns 0 after sleep_ms, else what wait_check() returns. */
int wait_sleep(const Wait *wait, uint64_t sleep_ms, Error *err);

/* Waits until fd has `events` (poll(2)). Returns 1, 0 if the deadline passed, or -ECANCELED. */
int wait_fd(const Wait *wait, int fd, short events, Error *err);

/* Waits as wait_fd() does, for several descriptors. The first of `fds` is reserved for the stop
 * request. The others get their events in `revents`. */
struct pollfd;
int wait_fds(const Wait *wait, struct pollfd *fds, size_t n, Error *err);

/* Returns a random pause with full jitter (AWS Architecture Blog, "Exponential Backoff And
 * Jitter"): between 0 and min(max_ms, first_ms * 2^attempt), where attempt counts from 0. The pause
 * is never less than first_ms / 4, so that a series of short ones is no busy loop. */
uint64_t wait_backoff_ms(uint64_t first_ms, uint64_t max_ms, unsigned attempt);
