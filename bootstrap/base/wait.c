/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wait.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>
#include <time.h>

#include "base/string.h"

uint64_t wait_now_ms(void)
{
        struct timespec ts;
        (void) clock_gettime(CLOCK_BOOTTIME, &ts); /* cannot fail for a clock that exists */
        return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

Wait wait_part(const Wait *wait, uint64_t timeout_ms)
{
        Wait part = *wait;
        uint64_t now = wait_now_ms();
        if (timeout_ms < UINT64_MAX - now && now + timeout_ms < part.deadline_ms) {
                part.deadline_ms = now + timeout_ms;
        }
        return part;
}

int wait_left_ms(const Wait *wait)
{
        uint64_t now = wait_now_ms();
        if (now >= wait->deadline_ms) {
                return 0;
        }
        uint64_t left = wait->deadline_ms - now;
        return left > INT32_MAX ? INT32_MAX : (int) left;
}

static int wait_over(Error *err)
{
        int r = error_set(err, ERROR_RETRY, ETIMEDOUT, "timed out");
        err->unexplained = true;
        return r;
}

int wait_fds(const Wait *wait, struct pollfd *fds, size_t n, Error *err)
{
        fds[0] = (struct pollfd) { .fd = wait->stop_fd, .events = POLLIN };
        for (;;) {
                int r = poll(fds, n, wait_left_ms(wait));
                if (r < 0 && errno != EINTR) {
                        return error_errno(err, errno, "poll");
                }
                if (r > 0 && fds[0].revents) {
                        return error_set(err, ERROR_RETRY, ECANCELED, "stopped on request");
                }
                if (r > 0) {
                        return 1;
                }
                if (wait_left_ms(wait) == 0) {
                        for (size_t i = 0; i < n; i++) {
                                fds[i].revents = 0;
                        }
                        return 0;
                }
        }
}

int wait_fd(const Wait *wait, int fd, short events, Error *err)
{
        struct pollfd fds[] = { { .fd = -1 }, { .fd = fd, .events = events } };
        return wait_fds(wait, fds, ELEMENTS(fds), err);
}

int wait_check(const Wait *wait, Error *err)
{
        Wait now = { .deadline_ms = 0, .stop_fd = wait->stop_fd };
        int r = wait_fd(&now, -1, 0, err);
        if (r < 0) {
                return r;
        }
        return wait_left_ms(wait) == 0 ? wait_over(err) : 0;
}

int wait_sleep(const Wait *wait, uint64_t sleep_ms, Error *err)
{
        Wait part = wait_part(wait, sleep_ms);
        int r = wait_fd(&part, -1, 0, err);
        if (r < 0) {
                return r;
        }
        return part.deadline_ms == wait->deadline_ms ? wait_over(err) : 0;
}

uint64_t wait_backoff_ms(uint64_t first_ms, uint64_t max_ms, unsigned attempt)
{
        uint64_t limit = first_ms ? first_ms : 1;
        while (attempt-- > 0 && limit < max_ms) {
                limit *= 2;
        }
        if (limit > max_ms) {
                limit = max_ms;
        }
        uint64_t draw = 0;
        (void) getrandom(&draw, sizeof(draw), GRND_NONBLOCK); /* if it fails: the shortest pause */
        uint64_t ms = draw % (limit + 1), least = first_ms / 4;
        return ms < least ? least : ms;
}
