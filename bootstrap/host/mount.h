/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Mounts through libmount, in the namespace of the whole machine. */

typedef struct MountState {
        bool mounted;
        char source[256]; /* topmost mount there */
        char type[32];
        uint64_t devnum; /* st_dev of the mounted filesystem */
        bool read_only;  /* also when the kernel made it so after an error */
} MountState;

/* Fills *ret with the topmost mount at path, from /proc/self/mountinfo. If there is none, `mounted`
 * is false. */
int mount_look(const char *path, MountState *ret, Error *err);

/* Mounts a device with the options (nodev,nosuid,noexec and others). Makes the folder (0700) if
 * there is none. The error says why the mount failed ("it is mounted at X", "bad superblock or
 * options, see dmesg"); its class follows from errno. */
int mount_device(const char *node, const char *type, const char *options, const char *path,
                 Error *err);

/* Mounts a tmpfs at path: mode 0700, nodev,nosuid,noexec, `size_bytes`, and noswap if the kernel
 * has it (6.4; https://www.kernel.org/doc/html/latest/filesystems/tmpfs.html). Repeated calls make
 * only one mount. Returns 1 if it mounted (or remounted with these options), 0 if the mount was
 * right already. Another filesystem mounted there is ERROR_CONFIG. */
int mount_tmpfs(const char *path, uint64_t size_bytes, Error *err);
