/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/services/service.h"

#include <errno.h>
#include <sys/stat.h>

#include "host/journal.h"
#include "host/unit.h"

/* A wait reads the journal at every WORDS_EVERY-th look, which is every few seconds. */
#define WORDS_EVERY 20

const StepRetry service_looks = { .first_ms = 50, .max_ms = 500 };

const struct Service services[SERVICES_MAX] = {
        { UNIT_CONTAINERD, STEP_MASK(BOOT_CONTAINERD) },
        { UNIT_DOCKER_BOOTSTRAP, STEP_MASK(BOOT_DOCKER_BOOTSTRAP) },
        { UNIT_ETCD, STEP_MASK(BOOT_ETCD) },
        { UNIT_FLANNELD, STEP_MASK(BOOT_FLANNELD) | STEP_MASK(BOOT_FLANNEL) },
        { UNIT_DOCKER, STEP_MASK(BOOT_DOCKER) },
        { UNIT_KUBELET, STEP_MASK(BOOT_KUBELET) },
};

int service_is_active(const char *unit, StepContext *context, struct timespec *ret_since,
                      Error *err)
{
        UnitState state;
        int r = unit_look(unit, step_wait(context), &state, err);
        if (r < 0) {
                return r;
        }
        if (streq(state.load, "masked")) {
                return error_set(err, ERROR_CONFIG, ESHUTDOWN,
                                 "%s is masked: an administrator did that; systemctl unmask %s",
                                 unit, unit);
        }
        if (!streq(state.load, "loaded")) {
                return error_set(err, ERROR_CONFIG, ENOENT, "%s is %s: the AMI is incomplete", unit,
                                 state.load);
        }
        if (!streq(state.active, "active")) {
                step_not_yet(context, "%s is %s", unit, state.active);
                return 0;
        }
        if (ret_since) {
                ret_since->tv_sec = (time_t) (state.active_since_us / 1000000);
                ret_since->tv_nsec = (long) (state.active_since_us % 1000000) * 1000;
        }
        return 1;
}

int service_await(const char *unit, StepContext *context, Error *err)
{
        Wait part = wait_part(step_wait(context), 10000);
        for (;;) {
                UnitState state;
                int r = unit_look(unit, &part, &state, err);
                if (r < 0 || streq(state.active, "active")) {
                        return r < 0 ? r : 0;
                }
                step_waiting_for(context, "%s to be active", unit);
                r = unit_wait_change(unit, &state, &part, 500, err);
                if (r < 0) {
                        return r;
                }
                if (wait_left_ms(&part) == 0) {
                        return error_set(err, ERROR_RETRY, ETIMEDOUT, "%s is %s", unit,
                                         state.active);
                }
        }
}

int service_start(const char *unit, StepContext *context, Error *err)
{
        int r = unit_reset_failed(unit, step_wait(context), err);
        if (r < 0) {
                return r;
        }
        step_waiting_for(context, "%s to start", unit);
        r = unit_start(unit, step_wait(context), err);
        if (r >= 0) { /* the next wait is for something else */
                step_waiting_for(context, NULL);
        }
        return r;
}

int service_restart(const char *unit, StepContext *context, Error *err)
{
        int r = unit_reset_failed(unit, step_wait(context), err);
        if (r < 0) {
                return r;
        }
        step_waiting_for(context, "%s to restart", unit);
        r = unit_restart(unit, step_wait(context), err);
        if (r >= 0) { /* the next wait is for something else */
                step_waiting_for(context, NULL);
        }
        return r;
}

void service_not_yet(const char *unit, const char *why, StepContext *context)
{
        unsigned looks = step_looks(context);
        if (looks % WORDS_EVERY != 0) {
                return;
        }
        char words[LAST_WORDS_MAX] = "";
        if (looks > 0) { /* at the first look the unit has said nothing yet */
                journal_last_words(unit, words);
        }
        if (!words[0]) {
                step_not_yet(context, "%s", why);
                return;
        }
        step_not_yet(context, "%s; it says \"%.160s\"", why, words);
}

int service_container_runs(const char *unit, const Container *container, StepContext *context,
                           Error *err)
{
        int r = service_is_active(unit, context, NULL, err);
        if (r <= 0) {
                return r;
        }
        DockerContainerState state;
        r = docker_container_look(DOCKER_BOOTSTRAP_SOCKET, container, step_wait(context), &state,
                                  err);
        if (r < 0) {
                return r;
        }
        if (state != DOCKER_CONTAINER_RUNNING) {
                step_not_yet(context, "container %s is %s", container->name,
                             docker_container_state_to_string(state));
                return 0;
        }
        return 1;
}

int service_container_start(const char *unit, const Container *container, StepContext *context,
                            Error *err)
{
        DockerContainerState state;
        int r = docker_container_look(DOCKER_BOOTSTRAP_SOCKET, container, step_wait(context),
                                      &state, err);
        if (r < 0) {
                return r;
        }
        if (state != DOCKER_CONTAINER_STOPPED && state != DOCKER_CONTAINER_RUNNING) {
                /* otherwise the unit would restart the container that is being replaced; and of one
                 * that is lost docker learns only when it is to stop it */
                r = unit_stop(unit, step_wait(context), err);
                if (r < 0) {
                        return r;
                }
                r = docker_container_create(DOCKER_BOOTSTRAP_SOCKET, container, step_wait(context),
                                            err);
                if (r < 0) {
                        return r;
                }
        }
        return service_start(unit, context, err);
}

int service_is_older_than(const struct timespec *since, const char *path, Error *err)
{
        struct stat st;
        if (stat(path, &st) < 0) {
                return error_errno(err, errno, "stat %s", path);
        }
        return st.st_mtim.tv_sec > since->tv_sec ||
               (st.st_mtim.tv_sec == since->tv_sec && st.st_mtim.tv_nsec > since->tv_nsec);
}
