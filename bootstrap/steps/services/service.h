/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <time.h>

#include "host/docker.h"
#include "steps/boot.h"

/* Functions for steps that bring up a unit. systemd supervises the unit; the step starts it, and
 * looks at it. */

#define UNIT_CONTAINERD       "containerd.service"
#define UNIT_DOCKER_BOOTSTRAP "docker-bootstrap.service"
#define UNIT_ETCD             "etcd.service"
#define UNIT_FLANNELD         "flanneld.service"
#define UNIT_DOCKER           "docker.service"
#define UNIT_KUBELET          "kubelet.service"
#define UNIT_MASTER_MOUNT     "var-lib-kubernetes-master.mount" /* of MASTER_MOUNT_POINT */

/* The units, and the steps that bring each up: at most one on each kind of machine. */
#define SERVICES_MAX 6
extern const struct Service {
        const char *unit;
        uint64_t steps; /* mask */
} services[SERVICES_MAX];

/* Returns 1 if the unit is active, else 0; *ret_since (may be NULL) is when it became active. A
 * unit that is not installed or is masked is ERROR_CONFIG. */
int service_is_active(const char *unit, StepContext *context, struct timespec *ret_since,
                      Error *err);

/* Waits until the unit is active, without starting it (a mount that PID 1 has yet to notice): 10 s
 * at most, then ERROR_RETRY. */
int service_await(const char *unit, StepContext *context, Error *err);

/* Start or restart the unit, even if an earlier failure ran into its rate limit. service_start()
 * leaves an active unit alone. */
int service_start(const char *unit, StepContext *context, Error *err);
int service_restart(const char *unit, StepContext *context, Error *err);

/* How often a wait asks a service on this machine that is starting. */
extern const StepRetry service_looks;

/* Says with step_not_yet() why the unit is not as it should be. After a number of looks the text
 * includes the unit's last words. */
void service_not_yet(const char *unit, const char *why, StepContext *context);

/* Returns 1 if the unit is active and its container in docker-bootstrap runs with this
 * configuration, else 0. */
int service_container_runs(const char *unit, const Container *container, StepContext *context,
                           Error *err);

/* Starts the unit with its container. A container that was made from another configuration is
 * replaced; a container that is right and runs is left alone. */
int service_container_start(const char *unit, const Container *container, StepContext *context,
                            Error *err);

/* Returns 1 if the file was changed after `since`, when the unit became active, else 0. On 1 the
 * unit runs with an older file. */
int service_is_older_than(const struct timespec *since, const char *path, Error *err);
