/* SPDX-License-Identifier: Apache-2.0 */
#include "local_daemon.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void *daemon_main(void *userdata)
{
        Daemon *d = userdata;
        const char *argv[] = { "/bin/sh", "-c", d->script, NULL };
        ProcessOptions options = { .argv = argv };
        (void) process_run(&options, &d->wait, &d->result,
                           ERROR_IGNORED); /* stopped: its usual end */
        return NULL;
}

void daemon_start(Daemon *d, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(d->script, sizeof(d->script), format, ap);
        va_end(ap);
        d->wait = (Wait) { .deadline_ms = UINT64_MAX, .stop_fd = eventfd(0, EFD_CLOEXEC) };
        if (pthread_create(&d->thread, NULL, daemon_main, d) != 0) {
                abort();
        }
}

void daemon_stop(Daemon *d)
{
        (void) eventfd_write(d->wait.stop_fd, 1);
        (void) pthread_join(d->thread, NULL);
        (void) close(d->wait.stop_fd);
        process_result_done(&d->result);
}

int shell(const char *format, ...)
{
        char script[1024];
        Error err = {};
        Wait wait = test_patience();
        ProcessResult result = {};
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(script, sizeof(script), format, ap);
        va_end(ap);
        const char *argv[] = { "/bin/sh", "-c", script, NULL };
        ProcessOptions options = { .argv = argv };
        int r = process_run_checked(&options, &wait, &result, &err);
        if (r < 0) {
                printf("# %s\n", err.message);
        }
        process_result_done(&result);
        return r;
}
