/* SPDX-License-Identifier: Apache-2.0 */
#include "host/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/effect.h"
#include "base/log.h"

#define OUTPUT_MAX_DEFAULT ((size_t) 64 << 10)
#define ERRORS_MAX         ((size_t) 4 << 10)
#define READ_SIZE          4096
#define READS_AFTER_END    256 /* a pipe holds 1 MiB at most; an escaped grandchild may go on */
#define GRACE_MS           5000
#define TAIL_MAX           300

typedef struct Child {
        pid_t pid;
        int pidfd;
        int output;
        int errors;
} Child;

static void child_close(Child *child)
{
        close_fdp(&child->pidfd);
        close_fdp(&child->output);
        close_fdp(&child->errors);
}

#define _cleanup_child_ _cleanup_(child_close)

/* The descriptors of a child before it runs: the standard three, and a status pipe. The status pipe
 * tells the parent why the program could not be run; if it closes without data, the program
 * runs. */
enum { CHILD_INPUT, CHILD_OUTPUT, CHILD_ERRORS, CHILD_STATUS, CHILD_FDS };

/* Prepares the child after fork(). Only async-signal-safe calls are allowed here, because other
 * threads may have held any lock. Returns 0 or a positive errno. */
static int child_prepare(int fds[CHILD_FDS], pid_t parent)
{
        if (setsid() < 0) { /* a group of its own, and no terminal to ask questions on */
                return errno;
        }
        /* The signal comes when the *thread* that forked ends, not its process (prctl(2)). That
         * thread is in process_run() until the child is reaped, so both are the same here. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
                return errno;
        }
        if (getppid() != parent) {
                return ECANCELED; /* the parent died before the line above */
        }
        for (int i = 0; i < CHILD_FDS; i++) { /* out of the way of the dup2() below */
                fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
                if (fds[i] < 0) {
                        return errno;
                }
        }
        for (int i = CHILD_INPUT; i <= CHILD_ERRORS; i++) {
                if (dup2(fds[i], i) < 0) {
                        return errno;
                }
        }
        if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
                return errno;
        }
        for (int s = 1; s < NSIG; s++) {
                (void) signal(s, SIG_DFL); /* fails for those that cannot be caught anyway */
        }
        sigset_t none;
        (void) sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? errno : 0;
}

static _Noreturn void child_main(int fds[CHILD_FDS], pid_t parent, char **argv, char **environment)
{
        int error = child_prepare(fds, parent);
        if (error == 0) {
                (void) execve(argv[0], argv, environment);
                error = errno;
        }
        ssize_t n = write(fds[CHILD_STATUS], &error, sizeof(error));
        _exit(n == sizeof(error) ? 127 : 126); /* without a reader there is nobody to tell */
}

/* Forks with all signals blocked, until the child has none of our handlers any more. */
static pid_t fork_quietly(int fds[CHILD_FDS], char **argv, char **environment)
{
        sigset_t all, before;
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                child_main(fds, parent, argv, environment);
        }
        int saved = errno;
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = saved;
        return pid;
}

/* Returns a descriptor for the child's standard input. A memory file holds all of the input at
 * once, so nothing must be written while output is read. */
static int input_open(const ProcessOptions *options, Error *err)
{
        if (!options->input) {
                int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
                return fd < 0 ? error_errno(err, errno, "/dev/null") : fd;
        }
        _cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);
        if (fd < 0) {
                return error_errno(err, errno, "memfd_create");
        }
        const char *data = options->input;
        for (size_t done = 0; done < options->input_size;) {
                ssize_t n = write(fd, data + done, options->input_size - done);
                if (n < 0) {
                        return error_errno(err, errno, "write to memory file");
                }
                done += (size_t) n;
        }
        if (lseek(fd, 0, SEEK_SET) < 0) {
                return error_errno(err, errno, "rewind memory file");
        }
        return TAKE_FD(fd);
}

static void close_fds(int (*fds)[CHILD_FDS])
{
        FOREACH_ARRAY(fd, *fds, CHILD_FDS) {
                close_fdp(fd);
                *fd = -EBADF; /* this function is called early and again at the end */
        }
}

/* Opens pipes for the child's output; `theirs` gets the child's ends, `ours` the other ends. */
static int pipes_open(int ours[CHILD_FDS], int theirs[CHILD_FDS], Error *err)
{
        for (int i = CHILD_OUTPUT; i < CHILD_FDS; i++) {
                int pair[2];
                if (pipe2(pair, O_CLOEXEC) < 0) {
                        return error_errno(err, errno, "pipe");
                }
                ours[i] = pair[0];
                theirs[i] = pair[1];
                if (i != CHILD_STATUS && fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0) {
                        return error_errno(err, errno, "make a pipe non-blocking");
                }
        }
        return 0;
}

static int environment_make(const ProcessOptions *options, StringList *argv, StringList *ret,
                            Error *err)
{
        if (string_list_append(ret, "PATH=/usr/sbin:/usr/bin:/sbin:/bin") < 0 ||
            string_list_append(ret, "LC_ALL=C") < 0) {
                return error_oom(err);
        }
        for (size_t i = 0; options->environment && options->environment[i]; i++) {
                if (string_list_append(ret, options->environment[i]) < 0) {
                        return error_oom(err);
                }
        }
        for (size_t i = 0; options->argv[i]; i++) {
                if (string_list_append(argv, options->argv[i]) < 0) {
                        return error_oom(err);
                }
        }
        return 0;
}

static void reap_now(pid_t pid)
{
        (void) kill(pid, SIGKILL); /* our own unreaped child: always there */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
                ;
        }
}

static int child_start(const ProcessOptions *options, Child *ret, Error *err)
{
        _cleanup_string_list_ StringList argv = {}, environment = {};
        _cleanup_(close_fds) int ours[CHILD_FDS] = { -EBADF, -EBADF, -EBADF, -EBADF };
        _cleanup_(close_fds) int theirs[CHILD_FDS] = { -EBADF, -EBADF, -EBADF, -EBADF };
        int r = environment_make(options, &argv, &environment, err);
        if (r < 0) {
                return r;
        }
        r = pipes_open(ours, theirs, err);
        if (r < 0) {
                return r;
        }
        theirs[CHILD_INPUT] = input_open(options, err);
        if (theirs[CHILD_INPUT] < 0) {
                return theirs[CHILD_INPUT];
        }
        pid_t pid = fork_quietly(theirs, argv.items, environment.items);
        if (pid < 0) {
                return error_errno(err, errno, "fork");
        }
        close_fds(&theirs);
        int error = 0;
        ssize_t n;
        do {
                n = read(ours[CHILD_STATUS], &error, sizeof(error)); /* ends with its execve() */
        } while (n < 0 && errno == EINTR);
        _cleanup_close_ int pidfd = n == 0 ? pidfd_open(pid, 0) : -EBADF;
        if (pidfd < 0) {
                error = n == sizeof(error) ? error : errno;
                reap_now(pid);
                return error == ENOENT ? error_set(err, ERROR_CONFIG, error, "no such program")
                                       : error_errno(err, error, "cannot be started");
        }
        *ret = (Child) { .pid = pid,
                         .pidfd = TAKE_FD(pidfd),
                         .output = TAKE_FD(ours[CHILD_OUTPUT]),
                         .errors = TAKE_FD(ours[CHILD_ERRORS]) };
        return 0;
}

/* Keeps the beginning of standard output. */
static int keep_output(Buffer *output, const char *data, size_t n)
{
        size_t left = output->max - output->size;
        return buffer_append(output, data, n < left ? n : left);
}

/* Keeps the end of standard error. */
static int keep_errors(Buffer *errors, const char *data, size_t n)
{
        int r = buffer_append(errors, data, n);
        if (r == 0 && errors->size > ERRORS_MAX) {
                memmove(errors->data, errors->data + errors->size - ERRORS_MAX, ERRORS_MAX + 1);
                errors->size = ERRORS_MAX;
        }
        return r;
}

/* Reads once from each pipe that has data. Returns 1 if any data came, else 0. If result is NULL,
 * the data is discarded. */
static int child_read(Child *child, ProcessResult *result, Error *err)
{
        int any = 0, r = 0;
        int *fds[] = { &child->output, &child->errors };
        for (size_t i = 0; i < ELEMENTS(fds); i++) {
                char data[READ_SIZE];
                ssize_t n = *fds[i] < 0 ? -1 : read(*fds[i], data, sizeof(data));
                if (n == 0) {
                        close_fdp(fds[i]);
                        *fds[i] = -EBADF; /* poll(2) ignores it */
                }
                if (n <= 0) {
                        continue;
                }
                any = 1;
                if (result) {
                        r = i == 0 ? keep_output(&result->output, data, (size_t) n)
                                   : keep_errors(&result->errors, data, (size_t) n);
                }
                if (r < 0) {
                        return error_oom(err);
                }
        }
        return any;
}

/* Reads output until the child has ended. Returns 0 then, or an error when the wait is over. */
static int child_watch(Child *child, const Wait *wait, ProcessResult *result, Error *err)
{
        for (;;) {
                struct pollfd fds[] = {
                        { .fd = child->pidfd, .events = POLLIN },
                        { .fd = child->output, .events = POLLIN },
                        { .fd = child->errors, .events = POLLIN },
                        { .fd = wait->stop_fd, .events = POLLIN },
                };
                if (poll(fds, ELEMENTS(fds), wait_left_ms(wait)) < 0 && errno != EINTR) {
                        return error_errno(err, errno, "poll");
                }
                if (fds[0].revents) {
                        return 0;
                }
                int r = child_read(child, result, err);
                if (r < 0) {
                        return r;
                }
                r = wait_check(wait, err);
                if (r < 0) {
                        return r;
                }
        }
}

/* Ends the child's group when the wait is over: SIGTERM first, then SIGKILL. */
static int child_kill(Child *child, Error *err)
{
        static const int signals[] = { SIGTERM, SIGKILL };
        FOREACH_ARRAY(s, signals, ELEMENTS(signals)) {
                Wait grace = { .deadline_ms = wait_now_ms() + GRACE_MS, .stop_fd = -1 };
                (void) kill(-child->pid, *s); /* its group is there until the child is reaped */
                if (child_watch(child, &grace, NULL, ERROR_IGNORED) == 0) {
                        return 0;
                }
        }
        return error_prefix(err, "process %d is stuck in the kernel and cannot be killed",
                            (int) child->pid);
}

static int child_reap(Child *child, ProcessResult *result, Error *err)
{
        siginfo_t info = {};
        /* Kills what is left of the child's group. While the child is a zombie, its number cannot
         * be another group's. */
        (void) kill(-child->pid, SIGKILL);
        for (int i = 0, r = 1; r > 0 && i < READS_AFTER_END; i++) {
                r = child_read(child, result, err);
                if (r < 0) {
                        reap_now(child->pid);
                        return r;
                }
        }
        while (waitid(P_PIDFD, (id_t) child->pidfd, &info, WEXITED) < 0) {
                if (errno != EINTR) {
                        return error_errno(err, errno, "waitid");
                }
        }
        if (result) {
                bool exited = info.si_code == CLD_EXITED;
                result->exit_status = exited ? info.si_status : -1;
                result->signal = exited ? 0 : info.si_status;
        }
        return 0;
}

static int child_run(const ProcessOptions *options, const Wait *wait, ProcessResult *result,
                     Error *err)
{
        _cleanup_child_ Child child = { .pidfd = -EBADF, .output = -EBADF, .errors = -EBADF };
        result->output.max = options->output_max ? options->output_max : OUTPUT_MAX_DEFAULT;
        if (buffer_append(&result->output, "", 0) < 0 ||
            buffer_append(&result->errors, "", 0) < 0) {
                return error_oom(err);
        }
        int r = child_start(options, &child, err);
        if (r < 0) {
                return r;
        }
        r = child_watch(&child, wait, result, err);
        if (r == 0) {
                return child_reap(&child, result, err);
        }
        if (child_kill(&child, err) == 0) {
                (void) child_reap(&child, NULL,
                                  ERROR_IGNORED); /* *err says already why it was ended */
        }
        return r;
}

static char *command_text(const char *const *argv)
{
        _cleanup_buffer_ Buffer text = {};
        for (size_t i = 0; argv[i]; i++) {
                if (buffer_append_format(&text, "%s%s", i ? " " : "", argv[i]) < 0) {
                        return NULL;
                }
        }
        return buffer_take(&text);
}

static int how_it_ended(const ProcessResult *result, char *ret, size_t size)
{
        return result->signal ? snprintf(ret, size, "killed by signal %d", result->signal)
                              : snprintf(ret, size, "exit status %d", result->exit_status);
}

/* Describes how a program ended: "exit status 1: the last lines; of its output". The standard
 * output of a program that succeeded is its answer, which may be a secret, so it is not quoted. A
 * failed program may have written its complaint there, so it is quoted if standard error is
 * empty. */
static void process_describe(const ProcessResult *result, size_t lines, char *ret, size_t size)
{
        bool output = result->errors.size == 0 && result->exit_status != 0;
        const Buffer *said = output ? &result->output : &result->errors;
        size_t end = said->size, n = 0;
        while (end > 0 && isspace((unsigned char) said->data[end - 1])) {
                end--;
        }
        size_t begin = end;
        while (begin > 0 && end - begin < TAIL_MAX &&
               (said->data[begin - 1] != '\n' || ++n < lines)) {
                begin--;
        }
        size_t at = (size_t) how_it_ended(result, ret, size);
        if (begin < end) {
                at += (size_t) snprintf(ret + at, size - at, ": ");
        }
        for (const char *p = said->data + begin; p < said->data + end && at + 3 < size; p++) {
                if (*p == '\n') {
                        at += (size_t) snprintf(ret + at, size - at, "; ");
                } else if (!iscntrl((unsigned char) *p)) {
                        ret[at++] = *p;
                }
        }
        ret[at] = '\0';
}

int process_run(const ProcessOptions *options, const Wait *wait, ProcessResult *ret, Error *err)
{
        _cleanup_process_result_ ProcessResult result = {};
        _cleanup_free_ char *command = command_text(options->argv);
        if (!command) {
                return error_oom(err);
        }
        int r = wait_check(wait, err);
        if (r == 0) {
                Effect effect = effect_before("child", command);
                r = child_run(options, wait, &result, err);
                char text[64];
                (void) how_it_ended(&result, text, sizeof(text));
                effect_after(&effect, r, r < 0 ? NULL : text);
        }
        if (r < 0) {
                (void) error_prefix(err, "%s", options->argv[0]);
                return r;
        }
        char text[TAIL_MAX + 64];
        process_describe(&result, 3, text, sizeof(text));
        log_write(LOG_INFO, LOG_ID_CHILD, NULL, 0, "%s: %s", command, text);
        *ret = result;
        result = (ProcessResult) {};
        return 0;
}

int process_run_checked(const ProcessOptions *options, const Wait *wait, ProcessResult *ret,
                        Error *err)
{
        _cleanup_process_result_ ProcessResult result = {};
        int r = process_run(options, wait, &result, err);
        if (r < 0) {
                return r;
        }
        if (result.exit_status != 0) {
                char text[TAIL_MAX + 64];
                process_describe(&result, 1, text, sizeof(text));
                return error_set(err, ERROR_FATAL, 0, "%s: %s", options->argv[0], text);
        }
        *ret = result;
        result = (ProcessResult) {};
        return 0;
}

void process_result_done(ProcessResult *result)
{
        buffer_done(&result->output);
        buffer_done(&result->errors);
}
