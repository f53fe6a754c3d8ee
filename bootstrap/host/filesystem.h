/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/wait.h"
#include "host/blockdev.h"

typedef enum DiskContent {
        DISK_CANNOT_TELL, /* never returned without an error */
        DISK_BLANK, /* proven: no signature, no partition table, first and last MiB all zero */
        DISK_OURS,  /* ext4 carrying the label asked for */
        DISK_INTERRUPTED, /* our own mkfs was killed: its marker, and nothing but what it wrote */
        DISK_FOREIGN,     /* anything else: `what` says what was found */
        _DISK_CONTENT_MAX,
        _DISK_CONTENT_INVALID = -22,
} DiskContent;

const char *disk_content_to_string(DiskContent content);

typedef struct DiskProbe {
        DiskContent content;
        char what[192]; /* for people: "ext4 labelled \"x\" (UUID ...)", "partition table (gpt)",
                           "LUKS" */
        char uuid[64];  /* of a filesystem, "" if none */
} DiskProbe;

/* What is on the device, by libblkid's safe probe with superblocks AND partition tables, on the
 * device opened O_RDONLY after blockdev_verify(). A read error, a short read or an ambivalent
 * result is an error or DISK_FOREIGN, never blank. `label` is what our own filesystem carries.
 * https://mirrors.edge.kernel.org/pub/linux/utils/util-linux/v2.38/libblkid-docs/
 * (blkid_do_safeprobe) */
int filesystem_probe(const Blockdev *device, const char *volume_id, const char *label,
                     const Wait *wait, DiskProbe *ret, Error *err);

/* Makes ext4 with that label on a device that is proven blank, or whose own mkfs was interrupted,
 * while holding it O_EXCL and flock()ed; probes again first. Anything else is ERROR_UNSAFE and
 * nothing is written. mkfs.ext4 runs without -F; the label is set last, so that a filesystem with
 * the label is whole. */
int filesystem_format(const Blockdev *device, const char *volume_id, const char *label,
                      const Wait *wait, Error *err);

/* e2fsck -p before a mount: 0 clean or corrected; errors left (exit status 4 and above) are
 * ERROR_UNSAFE with its last lines. 8.. (operational) ERROR_RETRY. */
int filesystem_check(const Blockdev *device, const Wait *wait, Error *err);

/* Grows the mounted filesystem to its device if the device has become larger (resize2fs, online).
 * Returns 1 if grown, 0 if it fills its device. */
int filesystem_grow(const Blockdev *device, const char *mount_point, const Wait *wait, Error *err);

/* Whether the mounted filesystem is noticeably smaller than its device: 1 or 0. */
int filesystem_can_grow(const Blockdev *device, const char *mount_point, Error *err);
