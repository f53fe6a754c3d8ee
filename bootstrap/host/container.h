/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A container that the daemon makes for itself, in the words of no runtime. */

typedef struct ContainerMount {
        const char *source; /* bind, must exist on the machine */
        const char *target;
        bool read_only;
} ContainerMount;

/* A container on the host's network, without a restart policy (its unit restarts it). Out of
 * memory, the kernel ends it as late as a pod that is critical to its node. */
typedef struct Container {
        const char *name;
        const char *image;
        const char *const *argv;        /* NULL-terminated; entrypoint and arguments */
        const char *const *environment; /* NULL-terminated "K=V", may be NULL; no secrets */
        const ContainerMount *mounts;
        size_t n_mounts;
        const char *const *capabilities; /* added; NULL: none. All others dropped */
        const char *const *devices;      /* NULL-terminated host device paths, may be NULL */
        bool read_only_root;
} Container;
