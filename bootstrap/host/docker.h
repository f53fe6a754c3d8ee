/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/error.h"
#include "base/string.h"
#include "base/wait.h"
#include "host/container.h"

/* A client for dockerd over its socket. It uses the Engine API, with the version pinned in the URL
 * (1.40: docker 19.03 and later). https://docs.docker.com/engine/api/v1.40/ */

#define DOCKER_SOCKET           "/run/docker.sock"
#define DOCKER_BOOTSTRAP_SOCKET "/run/docker-bootstrap/docker.sock"

/* Sends GET /_ping. Returns 1 if docker answers, 0 if it does not (connection refused, no socket
 * yet). Other failures are errors. */
int docker_ping(const char *socket, const Wait *wait, Error *err);

typedef struct DockerInfo {
        char cgroup_driver[32];
        char server_version[64];
        char storage_driver[32];
        unsigned long containers_running;
} DockerInfo;

int docker_info(const char *socket, const Wait *wait, DockerInfo *ret, Error *err);

/* Size of a configuration's hash as the label carries it: 64 hex digits and a terminator. The hash
 * covers the body of the create request and the image's id, so a new image under the same name is a
 * change. */
#define DOCKER_HASH_SIZE 65

typedef enum DockerContainerState {
        DOCKER_CONTAINER_ABSENT,
        DOCKER_CONTAINER_DIFFERENT, /* exists, but made from another configuration */
        DOCKER_CONTAINER_STOPPED,   /* exists as configured, not running */
        DOCKER_CONTAINER_RUNNING,
        DOCKER_CONTAINER_LOST, /* running, docker says, but its process is gone */
        _DOCKER_CONTAINER_STATE_MAX,
        _DOCKER_CONTAINER_STATE_INVALID = -EINVAL,
} DockerContainerState;

const char *docker_container_state_to_string(DockerContainerState state); /* for people */

int docker_container_look(const char *socket, const Container *container, const Wait *wait,
                          DockerContainerState *ret, Error *err);

/* Returns 1 and the time when the container was last started (CLOCK_REALTIME), or 0 if there is no
 * such container or it was never started. */
int docker_container_started(const char *socket, const char *name, const Wait *wait,
                             struct timespec *ret, Error *err);

/* Creates the container, but does not start it. First stops and removes a container of that name
 * made from another configuration. A missing image is ERROR_CONFIG. Returns 1 if it created the
 * container, 0 if the container existed as configured. */
int docker_container_create(const char *socket, const Container *container, const Wait *wait,
                            Error *err);
