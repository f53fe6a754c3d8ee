/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

int signals_open(bool reload, Signals *ret, Error *err)
{
        sigset_t stop, hangup, all;
        (void) sigemptyset(&stop);
        (void) sigaddset(&stop, SIGTERM);
        (void) sigaddset(&stop, SIGINT);
        (void) sigemptyset(&hangup);
        (void) sigaddset(&hangup, SIGHUP);
        if (!reload) {
                (void) sigaddset(&stop, SIGHUP);
        }
        (void) sigorset(&all, &stop, &hangup);
        if (sigprocmask(SIG_BLOCK, &all, NULL) < 0) {
                return error_errno(err, errno, "block signals");
        }
        _cleanup_signals_ Signals s = SIGNALS_INIT;
        s.stop_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
        s.reload_fd = reload ? signalfd(-1, &hangup, SFD_CLOEXEC | SFD_NONBLOCK) : -EBADF;
        if (s.stop_fd < 0 || (reload && s.reload_fd < 0)) {
                return error_errno(err, errno, "signalfd");
        }
        ret->stop_fd = TAKE_FD(s.stop_fd);
        ret->reload_fd = TAKE_FD(s.reload_fd);
        return 0;
}

bool signals_take_reload(const Signals *signals)
{
        struct signalfd_siginfo info;
        return signals->reload_fd >= 0 &&
               read(signals->reload_fd, &info, sizeof(info)) == (ssize_t) sizeof(info);
}

void signals_done(Signals *signals)
{
        close_fdp(&signals->stop_fd);
        close_fdp(&signals->reload_fd);
        *signals = SIGNALS_INIT;
}
