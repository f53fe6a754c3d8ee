/* SPDX-License-Identifier: Apache-2.0 */
#include "base/container_runtime.h"

#include "base/string.h"

static const char *const runtime_names[_RUNTIME_MAX] = {
        [RUNTIME_DOCKER] = "docker",
        [RUNTIME_CONTAINERD] = "containerd",
};

const char *container_runtime_to_string(ContainerRuntime runtime)
{
        return runtime_names[runtime];
}

ContainerRuntime container_runtime_from_string(const char *s)
{
        for (ContainerRuntime runtime = 0; runtime < _RUNTIME_MAX; runtime++) {
                if (streq_ptr(s, runtime_names[runtime])) {
                        return runtime;
                }
        }
        return _RUNTIME_INVALID;
}
