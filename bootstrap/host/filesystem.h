/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/wait.h"
#include "host/blockdev.h"

typedef enum DiskContent {
        DISK_CANNOT_TELL, /* never returned without an error */
        DISK_BLANK,       /* no signature; first and last MiB and the samples between all zero */
        DISK_NOISE,       /* no signature but those that random bytes imitate; what was read is zero
                             or random, not all zero: a new encrypted disk, or encrypted data */
        DISK_UNRECOGNISED, /* no signature, but data, or a marker (not DISK_INTERRUPTED) */
        DISK_OURS,         /* complete: ext4 with the expected label, no marker left */
        DISK_INTERRUPTED,  /* our own mkfs was killed: its marker, and only what it wrote */
        DISK_FOREIGN,      /* anything else: `what` says what was found */
        _DISK_CONTENT_MAX,
        _DISK_CONTENT_INVALID = -EINVAL,
} DiskContent;

const char *disk_content_to_string(DiskContent content);

#define DISK_UUID_MAX 37 /* 36 characters, lower case */

typedef struct DiskProbe {
        DiskContent content;
        char what[192]; /* for people: "ext4 labelled \"x\" (UUID ...)", "partition table (gpt)",
                           "LUKS" */
        char uuid[64];  /* of a filesystem, or the future one of DISK_INTERRUPTED; "" if none */
        bool bad_superblock; /* ext2 to ext4 without a marker: the checksum is wrong, or missing
                                though the label is ours */
} DiskProbe;

/* Tells a person how to repair a bad superblock. The format takes the device's node. In a
 * filesystem with blocks of 4 KiB, mke2fs puts the first copy of the superblock at block 32768. */
#define DISK_SUPERBLOCK_ADVICE                                                                  \
        "take a snapshot of the volume, run e2fsck -b 32768 -B 4096 %s, which takes a copy of " \
        "the superblock, then run kube-bootstrap again"

/* Finds out what is on the device, with libblkid's safe probe for superblocks AND partition tables.
 * Opens the device O_RDONLY and checks it with blockdev_verify(). The checksum of an ext4
 * superblock is verified, unless the device is claimed exclusively (it is mounted, or being
 * checked). If no signature is found, the first and the last MiB and some two thousand blocks
 * between them are read. A read error, a short read or an ambivalent result is an error or
 * DISK_FOREIGN, never blank. `label` is the label of our own filesystem.
 * https://mirrors.edge.kernel.org/pub/linux/utils/util-linux/v2.38/libblkid-docs/
 * (blkid_do_safeprobe) */
int filesystem_probe(const Blockdev *device, const char *label, const Wait *wait, DiskProbe *ret,
                     Error *err);

/* Draws a random UUID. */
int filesystem_draw_uuid(char ret[DISK_UUID_MAX], Error *err);

#define DISK_MASK(content) (1U << (content))

typedef struct FormatOrder {
        const char *label;
        const char *uuid;
        unsigned gives_up; /* DISK_MASK() of DISK_NOISE if the caller knows that the disk is new,
                              and of DISK_UNRECOGNISED if a person agreed to lose what is on it */
} FormatOrder;

/* Makes ext4 with that label and UUID. Probes the device first: it must be blank, or hold our own
 * interrupted mkfs (with the same UUID), or hold content that the order gives up. Anything else is
 * ERROR_UNSAFE and nothing is written. Before given-up content is formatted, zeros are written over
 * the first and the last MiB. The device is claimed O_EXCL for the probe, the zeros and the marker
 * (host/filesystem_internal.h), and flock()ed throughout. The exclusive claim is released for
 * mkfs.ext4, which makes the same claim itself and runs without -F. A device that is DISK_OURS
 * already stays untouched. */
int filesystem_format(const Blockdev *device, const FormatOrder *order, const Wait *wait,
                      Error *err);

/* Runs e2fsck -p before a mount. Returns 0 if the filesystem is clean or was corrected. Errors that
 * are left (exit status with 4) are ERROR_UNSAFE with e2fsck's last lines. Features that this
 * e2fsck does not know are ERROR_CONFIG, because another image is needed. A check that could not
 * work (8, 32) is ERROR_RETRY. */
int filesystem_check(const Blockdev *device, const Wait *wait, Error *err);

/* Grows the mounted filesystem to its device (resize2fs, online: CAP_SYS_RESOURCE). */
int filesystem_grow(const Blockdev *device, const Wait *wait, Error *err);

/* Returns 1 if the device is noticeably larger than its filesystem, else 0. EBS volumes grow by
 * GiB; our own filesystem leaves the last MiB of its device free. *ret_device_bytes gets the
 * device's present size. */
int filesystem_can_grow(const Blockdev *device, uint64_t *ret_device_bytes, Error *err);
