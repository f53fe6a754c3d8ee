/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `run --resident`, as systemd starts it, over a table whose rows are looked at again after
 * REPROBE_S, which the test that includes this defines. */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "base/file.h"
#include "cli_world.h"

/* The table's rows in short. */
#define ROW(id, text, function, wants)      \
        [id] = { .name = text,              \
                 .makes_true = text,        \
                 .roles = ROLE_ALL,         \
                 .needs = wants,            \
                 .probe = function##_probe, \
                 .apply = function##_apply, \
                 .retry = { 2, 8 },         \
                 .reprobe_s = REPROBE_S }
#define AFTER(id) STEP_MASK(STEP_##id)

const StepRetry boot_again = { 100, 400 };
const unsigned boot_patience_ms = 600000;

/* In the C library's place, also in the programs. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
        int r = (int) syscall(SYS_clock_gettime, clock, ret);
        ret->tv_sec += world ? world->later_s : 0;
        return r;
}

const Step boot_steps[_STEP_ID_MAX] = {
        [STEP_CONFIG] = { .name = "config",
                          .makes_true = "x",
                          .roles = ROLE_ALL,
                          .probe = config_probe },
        [STEP_IDENTITY] = { .name = "identity",
                            .makes_true = "x",
                            .roles = ROLE_ALL,
                            .needs = AFTER(CONFIG),
                            .probe = identity_probe },
        [STEP_SOURCE_DEST_CHECK] = { .name = "source-dest-check",
                                     .makes_true = "x",
                                     .roles = ROLE_ALL,
                                     .needs = AFTER(IDENTITY),
                                     .probe = source_dest_check_probe,
                                     .apply = source_dest_check_apply,
                                     .retry = { 2, 8 },
                                     .reprobe_s = 900,
                                     .denial_is_warning = true },
        ROW(STEP_VOLUME_ATTACH, "volume-attach", volume_attach, AFTER(IDENTITY)),
        ROW(STEP_VOLUME_FORMAT, "volume-format", volume_format, AFTER(VOLUME_ATTACH)),
        ROW(STEP_VOLUME_MOUNT, "volume-mount", volume_mount, AFTER(VOLUME_FORMAT)),
        ROW(STEP_ELASTIC_IP, "elastic-ip", elastic_ip, AFTER(IDENTITY)),
        ROW(STEP_PRIVATE_IP, "private-ip", private_ip, AFTER(IDENTITY)),
        ROW(STEP_SECRETS, "secrets", secrets, AFTER(IDENTITY)),
        ROW(STEP_DOCKER_BOOTSTRAP, "docker-bootstrap", docker_bootstrap, AFTER(IDENTITY)),
        ROW(STEP_ETCD, "etcd", etcd, AFTER(DOCKER_BOOTSTRAP)),
        ROW(STEP_FLANNEL_CONFIG, "flannel-config", flannel_config, AFTER(ETCD)),
        ROW(STEP_FLANNELD, "flanneld", flanneld, AFTER(FLANNEL_CONFIG)),
        ROW(STEP_DOCKER, "docker", docker, AFTER(FLANNELD)),
        ROW(STEP_KUBELET_CONFIG, "kubelet-config", kubelet_config, AFTER(IDENTITY)),
        ROW(STEP_STATIC_PODS, "static-pods", static_pods, AFTER(IDENTITY)),
        ROW(STEP_KUBELET, "kubelet", kubelet, AFTER(DOCKER)),
        ROW(STEP_KUBELET_JOIN, "kubelet-join", kubelet_join, AFTER(KUBELET)),
        ROW(STEP_ADDONS, "addons", addons, AFTER(KUBELET)),
        ROW(STEP_JOIN_TOKEN, "join-token", join_token, AFTER(ADDONS)),
        ROW(STEP_NODES, "nodes", nodes, AFTER(JOIN_TOKEN)),
        [STEP_READY] = { .name = "ready",
                         .makes_true = "x",
                         .roles = ROLE_ALL,
                         .needs = AFTER(NODES),
                         .probe = ready_probe },
};

static Program program, other;

/* Reads what systemd is told until `text` was: false when it was not for long. */
static bool systemd_hears(const char *text)
{
        for (;;) {
                char *found = strstr(systemd_heard, text);
                if (found) { /* what came before is forgotten, so that each is heard once */
                        found += strlen(text);
                        memmove(systemd_heard, found, strlen(found) + 1);
                        return true;
                }
                if (!world_read(NULL)) {
                        return false;
                }
        }
}

static char notify_path[100];

static void start(void)
{
        char text[256];
        while (recv(systemd_fd, text, sizeof(text), MSG_DONTWAIT) >= 0) {}
        systemd_heard[0] = '\0';
        (void) setenv("NOTIFY_SOCKET", notify_path, 1);
        program_start(&program, false, WORDS("run", "--resident"));
        (void) unsetenv("NOTIFY_SOCKET"); /* those by hand have none */
}

static int stop(void)
{
        (void) kill(program.pid, SIGTERM);
        return program_end(&program);
}

/* Listens where the program tells systemd how it goes: false where that cannot be. */
static bool be_systemd(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(notify_path, sizeof(notify_path), "%s/notify", test_folder());
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", notify_path);
        systemd_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (systemd_fd < 0 || bind(systemd_fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                perror("notify socket");
                return false;
        }
        return true;
}
