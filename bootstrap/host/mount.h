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

/* What is mounted at path (topmost), from /proc/self/mountinfo. Not a mount point: mounted false.
 */
int mount_look(const char *path, MountState *ret, Error *err);

/* Mounts a device: nodev,nosuid,noexec as the options say. The folder is made (0700) if absent. A
 * failure tells why ("already mounted at X", "bad superblock: see dmesg"), class by errno. */
int mount_device(const char *node, const char *type, const char *options, const char *path,
                 Error *err);

/* A tmpfs at path: mode 0700, nodev,nosuid,noexec, `size_bytes`, and noswap where the kernel has it
 * (6.4; https://www.kernel.org/doc/html/latest/filesystems/tmpfs.html). One mount however often
 * run: returns 1 if mounted (or remounted with these options) now, 0 if it was so; something else
 * mounted there is ERROR_CONFIG. */
int mount_tmpfs(const char *path, uint64_t size_bytes, Error *err);
