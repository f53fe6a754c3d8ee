/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <time.h>

#include "host/docker.h"
#include "steps/boot.h"

/* What the steps that bring up a unit share. systemd supervises; a step starts, and looks. */

#define UNIT_DOCKER_BOOTSTRAP "docker-bootstrap.service"
#define UNIT_ETCD             "etcd.service"
#define UNIT_FLANNELD         "flanneld.service"
#define UNIT_DOCKER           "docker.service"
#define UNIT_KUBELET          "kubelet.service"
#define UNIT_MASTER_MOUNT     "var-lib-kubernetes-master.mount" /* of MASTER_MOUNT_POINT */

/* The units, and the step that brings each up. */
#define SERVICES_MAX 5
extern const struct Service {
        const char *unit;
        BootStep step;
} services[SERVICES_MAX];

/* Whether the unit is active: 1 or 0; *ret_since (may be NULL) when it became so. A unit that is
 * not installed or masked is ERROR_CONFIG. */
int service_is_active(const char *unit, StepContext *context, struct timespec *ret_since,
                      Error *err);

/* Waits until it is active by somebody else's doing (a mount that PID 1 has yet to notice); 10 s at
 * most, then ERROR_RETRY. */
int service_await(const char *unit, StepContext *context, Error *err);

/* Starts it, whatever rate limit an earlier failure ran into. An active one is left alone. */
int service_start(const char *unit, StepContext *context, Error *err);
int service_restart(const char *unit, StepContext *context, Error *err);

/* How often a wait asks a service on this machine that is starting. */
extern const StepRetry service_looks;

/* Says why the unit is not as it should be: step_not_yet(), with what the unit has said last once
 * it was looked at for a while. */
void service_not_yet(const char *unit, const char *why, StepContext *context);

/* Whether the unit is active and its container in docker-bootstrap runs with this configuration: 1
 * or 0. */
int service_container_runs(const char *unit, const DockerContainer *container, StepContext *context,
                           Error *err);

/* Makes that so. A container made from another configuration is replaced; one that is right and
 * runs is left alone. */
int service_container_start(const char *unit, const DockerContainer *container,
                            StepContext *context, Error *err);

/* Whether the file was changed after the unit became active (1 or 0): the unit runs with an older
 * one. */
int service_is_older_than(const struct timespec *since, const char *path, Error *err);
