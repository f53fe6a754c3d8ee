/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/follow.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

typedef struct Watch {
        const FollowOptions *options;
        int inotify_fd;
        int process_fd;             /* of the holder */
        bool in_folder;             /* else its parent is watched, until the folder is there */
        StepStatus told[STEPS_MAX]; /* as of the last look */
        Phase phase;
        int pid;
} Watch;

static int open_process(int pid)
{
        /* glibc has pidfd_open(3) only since 2.36, the kernel since 5.3 */
        return pid > 0 ? (int) syscall(SYS_pidfd_open, pid, 0) : -1;
}

int follow_process(int pid, const Wait *wait, Error *err)
{
        _cleanup_close_ int fd = open_process(pid);
        if (fd < 0) {
                return 0;
        }
        int r = wait_fd(wait, fd, POLLIN, err);
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ETIMEDOUT, "timed out");
        }
        return r < 0 ? r : 0;
}

/* Watches the folder. If it does not exist yet, watches its parent until the folder is made. */
static int watch_folder(Watch *w, Error *err)
{
        const char *folder = w->options->runtime->folder;
        if (w->in_folder) {
                return 0;
        }
        if (inotify_add_watch(w->inotify_fd, folder, IN_MOVED_TO | IN_CLOSE_WRITE) >= 0) {
                w->in_folder = true;
                return 0;
        }
        char parent[sizeof(w->options->runtime->folder)];
        (void) snprintf(parent, sizeof(parent), "%s", folder);
        char *slash = strrchr(parent, '/');
        slash[slash == parent ? 1 : 0] = '\0';
        if (errno != ENOENT || inotify_add_watch(w->inotify_fd, parent, IN_CREATE) < 0) {
                return error_errno(err, errno, "watch %s", folder);
        }
        /* the folder may have been made between the two calls, and neither watch tells of that */
        if (inotify_add_watch(w->inotify_fd, folder, IN_MOVED_TO | IN_CLOSE_WRITE) >= 0) {
                w->in_folder = true;
        }
        return 0;
}

/* Waits until something happens. Returns 1, or 0 when the holder has ended. */
static int watch_wait(Watch *w, Error *err)
{
        const Wait *wait = &w->options->wait;
        struct pollfd fds[] = {
                { .fd = w->inotify_fd, .events = POLLIN },
                { .fd = w->process_fd, .events = POLLIN },
                { .fd = wait->stop_fd, .events = POLLIN },
        };
        Wait tick = wait_part(wait, progress_tick_ms(w->options->progress) ?: UINT64_MAX);
        int timeout = tick.deadline_ms == UINT64_MAX ? -1 : wait_left_ms(&tick);
        if (poll(fds, ELEMENTS(fds), timeout) < 0 && errno != EINTR) {
                return error_errno(err, errno, "poll");
        }
        int r = wait_check(wait, err);
        if (r < 0) {
                return r;
        }
        char events[4096];
        while (read(w->inotify_fd, events, sizeof(events)) > 0) {
                /* which file it was does not matter: the state is read again */
        }
        return fds[0].revents || !fds[1].revents;
}

static void tell_changes(Watch *w, const StateFile *now)
{
        Progress *progress = w->options->progress;
        if (!progress) {
                return;
        }
        for (size_t i = 0; i < now->status.n_steps; i++) {
                StepStatus *told = &w->told[i];
                const StepChange change = { i, told, &now->status.steps[i] };
                progress_step(progress, &now->status, &change);
                step_remember(told, &now->status.steps[i]);
        }
        if (now->status.phase != w->phase || now->pid != w->pid) {
                progress_phase(progress, &now->status);
        } else {
                progress_tick(progress, &now->status);
        }
        w->phase = now->status.phase;
        w->pid = now->pid;
}

/* Returns true if the state is a result. With a holder: its run is over, also if the daemon will
 * run the table again. `running` tells that, because the phase may be that of an earlier run.
 * Without a holder: the phase is failed, or it is ready and a process is left that keeps it up to
 * date. */
static bool has_result(const Watch *w, const StateFile *now)
{
        Phase phase = now->status.phase;
        if (w->options->holder) {
                return phase == PHASE_FAILED || (!now->running && phase != PHASE_STARTING);
        }
        return phase == PHASE_FAILED || (phase == PHASE_READY && !runtime_is_abandoned(now));
}

/* Reads the state file. Returns 1 if the followed run has a result, else 0. */
static int follow_look(Watch *w, StateFile *ret, Error *err)
{
        int r = runtime_read_state(w->options->runtime, ret, err);
        if (r == -ENOENT) {
                return 0;
        }
        if (r < 0) {
                return r;
        }
        if (w->options->holder && ret->pid != w->options->holder) {
                return 0; /* the holder has not written yet: this state is of an earlier run */
        }
        tell_changes(w, ret);
        return has_result(w, ret);
}

static int follow_watch(Watch *w, StateFile *ret, Error *err)
{
        bool gone = w->options->holder > 0 && w->process_fd < 0;
        for (;;) {
                int r = watch_folder(w, err);
                if (r < 0) {
                        return r;
                }
                /* also when the process has ended: it may have written just before */
                r = follow_look(w, ret, err);
                if (r != 0) {
                        return r < 0 ? r : 0;
                }
                if (gone) {
                        return error_set(
                                err, ERROR_RETRY, ESRCH,
                                "the run that was followed (pid %d) ended without a result",
                                w->options->holder);
                }
                r = watch_wait(w, err);
                if (r < 0) {
                        return r;
                }
                gone = r == 0;
        }
}

int follow_run(const FollowOptions *options, StateFile *ret, Error *err)
{
        *ret = (StateFile) {};
        _cleanup_close_ int inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (inotify_fd < 0) {
                return error_errno(err, errno, "inotify");
        }
        _cleanup_close_ int process_fd = open_process(options->holder);
        _cleanup_free_ Watch *w = calloc(1, sizeof(*w));
        if (!w) {
                return error_oom(err);
        }
        w->options = options;
        w->inotify_fd = inotify_fd;
        w->process_fd = process_fd;
        return follow_watch(w, ret, err);
}
