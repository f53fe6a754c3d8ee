/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_world.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/verbs.h"
#include "steps/cfn_signal.h"
#include "steps/watch.h"

World *world;
int systemd_fd = -EBADF;
char systemd_heard[OUTPUT_MAX];

static int fake_probe(BootStep id, StepContext *context, Error *err)
{
        atomic_fetch_add(&world->probes[id], 1);
        if (world->probe_ms[id] || world->held[id]) {
                step_waiting_for(context, "the %s of another world", boot_steps[id].name);
        }
        int r = wait_sleep(step_wait(context), world->probe_ms[id], err);
        while (r == 0 && world->held[id]) {
                r = wait_sleep(step_wait(context), 5, err);
        }
        if (r < 0) {
                return r;
        }
        if (world->fails[id]) {
                r = error_set(err, world->class, EBUSY, "the probe refused");
                err->source = world->source;
                return r;
        }
        if (!world->so[id]) {
                step_not_yet(context, "%s is not as it was made", boot_steps[id].name);
        }
        return world->so[id];
}

static int fake_apply(BootStep id, Error *err)
{
        atomic_fetch_add(&world->applies[id], 1);
        if (world->apply_fails[id]) {
                return error_set(err, world->class, EBUSY, "the apply refused");
        }
        world->so[id] = 1;
        return 0;
}

int config_probe(void *userdata, StepContext *context, Error *err)
{
        int r = fake_probe(BOOT_CONFIG, context, err);
        if (r > 0) {
                Boot *boot = userdata;
                boot->config.role = ROLE_MASTER;
                boot->config_known = true;
        }
        return r;
}

int identity_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        (void) snprintf(boot->identity.instance_id, sizeof(boot->identity.instance_id),
                        "i-0123456789abcdef0");
        if (!boot->aws) {
                static char client;
                world->clients++;
                boot->aws = (AwsClient *) (void *) &client; /* whom nobody calls */
        }
        return fake_probe(BOOT_IDENTITY, context, err);
}

unsigned boot_kind(void *userdata)
{
        const Boot *boot = userdata;
        return boot->config_known ? boot->config.role : 0;
}

int cfn_signal_send(Boot *boot, bool ready, const Wait *wait, Error *err)
{
        (void) boot;
        (void) wait;
        atomic_fetch_add(ready ? &world->stack_ready : &world->stack_failed, 1);
        if (atomic_fetch_sub(&world->stack_fails, 1) > 0) {
                return error_set(err, ERROR_RETRY, ETIMEDOUT, "nobody answers");
        }
        return world->stack_says < 0
                       ? error_set(err, ERROR_CONFIG, -world->stack_says, "CREATE_COMPLETE")
                       : 1;
}

int happens_fds[2] = { -1, -1 };

struct StepWatch {
        int fd;
};

StepWatch *step_watch_new(void)
{
        static StepWatch watch;
        watch.fd = happens_fds[0];
        return &watch;
}

void step_watch_free(StepWatch *watch)
{
        watch->fd = -1;
}

void step_watch_poll(StepWatch *watch, struct pollfd ret[STEP_WATCH_FDS])
{
        ret[0] = (struct pollfd) { .fd = watch->fd, .events = POLLIN };
        ret[1] = (struct pollfd) { .fd = -1 };
}

uint64_t step_watch_take(StepWatch *watch)
{
        uint64_t mask = 0, more = 0;
        while (watch->fd >= 0 && read(watch->fd, &more, sizeof(more)) == sizeof(more)) {
                mask |= more;
        }
        return mask;
}

void boot_reset(Boot *boot)
{
        *boot = (Boot) { .overrides = boot->overrides, .aws = boot->aws };
}

void boot_done(Boot *boot)
{
        *boot = (Boot) {};
}

#define PROBE(name, id)                                                    \
        int name##_probe(void *userdata, StepContext *context, Error *err) \
        {                                                                  \
                (void) userdata;                                           \
                return fake_probe(id, context, err);                       \
        }
#define STEP(name, id)                                                     \
        PROBE(name, id)                                                    \
        int name##_apply(void *userdata, StepContext *context, Error *err) \
        {                                                                  \
                (void) userdata;                                           \
                (void) context;                                            \
                return fake_apply(id, err);                                \
        }
STEP(source_dest_check, BOOT_SOURCE_DEST_CHECK)
STEP(volume_attach, BOOT_VOLUME_ATTACH)
STEP(volume_format, BOOT_VOLUME_FORMAT)
STEP(volume_mount, BOOT_VOLUME_MOUNT)
STEP(elastic_ip, BOOT_ELASTIC_IP)
STEP(private_ip, BOOT_PRIVATE_IP)
STEP(secrets, BOOT_SECRETS)
STEP(docker_bootstrap, BOOT_DOCKER_BOOTSTRAP)
STEP(etcd, BOOT_ETCD)
STEP(flannel_config, BOOT_FLANNEL_CONFIG)
STEP(flanneld, BOOT_FLANNELD)
STEP(docker, BOOT_DOCKER)
STEP(kubelet_config, BOOT_KUBELET_CONFIG)
STEP(kubelet_certificate, BOOT_KUBELET_CERTIFICATE)
STEP(static_pods, BOOT_STATIC_PODS)
STEP(kubelet, BOOT_KUBELET)
STEP(kubelet_join, BOOT_KUBELET_JOIN)
STEP(roles, BOOT_ROLES)
STEP(addons, BOOT_ADDONS)
STEP(join_token, BOOT_JOIN_TOKEN)
STEP(nodes, BOOT_NODES)
PROBE(ready, BOOT_READY)

const char *runtime_path(const char *name)
{
        static char path[200];
        (void) snprintf(path, sizeof(path), "%s/run/%s", test_folder(), name);
        return path;
}

void world_reset(void)
{
        if (!world) {
                world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                if (world == MAP_FAILED) {
                        perror("mmap");
                        exit(EXIT_FAILURE);
                }
        }
        memset(world, 0, sizeof(*world));
        world->so[BOOT_CONFIG] = world->so[BOOT_IDENTITY] = world->so[BOOT_READY] = 1;
        DIR *folder = opendir(runtime_path(""));
        for (struct dirent *entry = NULL; folder && (entry = readdir(folder));) {
                (void) unlink(runtime_path(entry->d_name)); /* a killed program's half files too */
        }
        if (folder) {
                (void) closedir(folder);
        }
        (void) rmdir(runtime_path(""));
        (void) setenv(RUNTIME_FOLDER_VARIABLE, runtime_path(""), 1);
        char *slash = getenv(RUNTIME_FOLDER_VARIABLE);
        slash[strlen(slash) - 1] = '\0';
}

int world_applies(void)
{
        int n = 0;
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                n += world->applies[id];
        }
        return n;
}

static _Noreturn void be_program(const char *const *words)
{
        const char *argv[16] = { "kube-bootstrap" };
        int argc = 1;
        for (; words[argc - 1] && argc < 15; argc++) {
                argv[argc] = words[argc - 1];
        }
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        int status = cli_main(argc, (char *const *) (uintptr_t) argv);
        (void) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* for the leak sanitizer */
        exit(status);
}

void program_start(Program *p, bool terminal, const char *const *words)
{
        int pipe_fds[2] = { -1, -1 };
        *p = (Program) { .fd = -1 };
        (void) fflush(stdout);
        if (terminal) {
                const struct winsize size = { .ws_row = 40, .ws_col = 100 };
                p->pid = forkpty(&p->fd, NULL, NULL, &size);
        } else if (pipe(pipe_fds) == 0) {
                p->pid = fork();
        } else {
                p->pid = -1;
        }
        if (p->pid < 0) {
                perror("fork");
                exit(EXIT_FAILURE);
        }
        if (p->pid == 0) {
                if (!terminal && (dup2(pipe_fds[1], STDOUT_FILENO) < 0 ||
                                  dup2(pipe_fds[1], STDERR_FILENO) < 0)) {
                        _exit(EXIT_FAILURE);
                }
                if (!terminal) {
                        (void) close(pipe_fds[0]);
                        (void) close(pipe_fds[1]);
                }
                be_program(words);
        }
        if (!terminal) {
                (void) close(pipe_fds[1]);
                p->fd = pipe_fds[0];
        }
}

static void systemd_read(void)
{
        size_t used = strlen(systemd_heard);
        if (used + 4096 > sizeof(systemd_heard)) { /* a flood: what came before is forgotten */
                systemd_heard[used = 0] = '\0';
        }
        ssize_t n = recv(systemd_fd, systemd_heard + used, sizeof(systemd_heard) - used - 2, 0);
        if (n > 0) {
                (void) strcpy(systemd_heard + used + n, "\n");
        }
}

void systemd_read_soon(void)
{
        struct pollfd fd = { .fd = systemd_fd, .events = POLLIN };
        if (poll(&fd, 1, 5) > 0) {
                systemd_read();
        }
}

bool world_read(Program *p, const Wait *wait)
{
        struct pollfd fds[] = { { .fd = p ? p->fd : -1, .events = POLLIN },
                                { .fd = systemd_fd, .events = POLLIN } };
        int left_ms = wait_left_ms(wait);
        if (left_ms == 0 || poll(fds, 2, left_ms) <= 0) {
                printf("# not in time, after: %s\n", p ? p->output : systemd_heard);
                if (p) {
                        (void) kill(p->pid, SIGKILL);
                }
                return false;
        }
        if (fds[1].revents) {
                systemd_read();
        }
        if (!fds[0].revents) {
                return true;
        }
        ssize_t n = read(p->fd, p->output + p->n, sizeof(p->output) - 1 - p->n);
        if (n <= 0) { /* a terminal's end is EIO */
                return false;
        }
        p->n += (size_t) n;
        p->output[p->n] = '\0';
        return true;
}

bool program_says(Program *p, const char *text)
{
        Wait wait = test_patience();
        while (!strstr(p->output, text)) {
                if (!world_read(p, &wait)) {
                        return false;
                }
        }
        return true;
}

int program_end(Program *p)
{
        int status = 0;
        Wait wait = test_patience();
        while (world_read(p, &wait)) {}
        (void) close(p->fd);
        if (waitpid(p->pid, &status, 0) != p->pid) {
                perror("waitpid");
                return -1;
        }
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int program_run(Program *p, const char *const *words)
{
        program_start(p, false, words);
        return program_end(p);
}
