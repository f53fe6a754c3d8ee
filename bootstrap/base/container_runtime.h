/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>

/* The program that runs the pods of a machine: docker, with Kubernetes 1.19 to 1.23, or containerd,
 * with a current Kubernetes. */
typedef enum ContainerRuntime {
        RUNTIME_DOCKER,
        RUNTIME_CONTAINERD,
        _RUNTIME_MAX,
        _RUNTIME_INVALID = -EINVAL,
} ContainerRuntime;

const char *container_runtime_to_string(ContainerRuntime runtime); /* "docker", "containerd" */

/* Returns _RUNTIME_INVALID for any other text. */
ContainerRuntime container_runtime_from_string(const char *s);
