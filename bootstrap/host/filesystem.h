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
        DISK_NOISE,       /* no signature that random bytes do not imitate; what was read is zero or
                             random, not all zero: new and encrypted, or encrypted data */
        DISK_UNRECOGNISED, /* no signature, but data, or the mark of another's formatting */
        DISK_OURS,         /* whole: ext4 carrying the label asked for, no marker left */
        DISK_INTERRUPTED,  /* our own mkfs was killed: its marker, and nothing but what it wrote */
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
        char uuid[64];  /* of a filesystem, or that DISK_INTERRUPTED will have; "" if none */
        bool bad_superblock; /* ext2 to ext4, its making not interrupted, with a wrong checksum,
                                or with our label and none */
} DiskProbe;

/* Tells a person how to mend a bad superblock; a format that takes the device's node. Block 32768
 * is where mke2fs puts the first copy in a filesystem with blocks of 4 KiB. */
#define DISK_SUPERBLOCK_ADVICE                                                                  \
        "take a snapshot of the volume, run e2fsck -b 32768 -B 4096 %s, which takes a copy of " \
        "the superblock, then run kube-bootstrap again"

/* What is on the device, by libblkid's safe probe with superblocks AND partition tables, on the
 * device opened O_RDONLY after blockdev_verify(). The checksum of an ext4 superblock is verified,
 * unless another has the exclusive claim on the device (it is mounted, or being checked). Where no
 * signature is found, the first and the last MiB and some two thousand blocks between them are
 * read. A read error, a short read or an ambivalent result is an error or DISK_FOREIGN, never
 * blank. `label` is what our own filesystem carries.
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
        unsigned gives_up; /* DISK_MASK() of DISK_NOISE where the caller knows that the disk is new,
                              and of DISK_UNRECOGNISED where a person gave up what is on it */
} FormatOrder;

/* Makes ext4 with that label and UUID on a device that is proven blank, whose own mkfs was
 * interrupted (with the same UUID), or whose content the order gives up; probes again first.
 * Anything else is ERROR_UNSAFE and nothing is written. Zeros go over the first and the last MiB of
 * a disk that is not blank. The device is claimed O_EXCL for the probe, the zeros and the marker
 * (host/filesystem_internal.h) and flock()ed throughout; the claim is given up for mkfs.ext4, which
 * makes the same claim for itself, and runs without -F. A device already ours is left alone. */
int filesystem_format(const Blockdev *device, const FormatOrder *order, const Wait *wait,
                      Error *err);

/* Runs e2fsck -p before a mount: 0 clean or corrected; errors left (exit status with 4) are
 * ERROR_UNSAFE with its last lines; features that this e2fsck does not know ERROR_CONFIG, as
 * another image is needed; could not work (8, 32) ERROR_RETRY. */
int filesystem_check(const Blockdev *device, const Wait *wait, Error *err);

/* Grows the mounted filesystem to its device (resize2fs, online: CAP_SYS_RESOURCE). */
int filesystem_grow(const Blockdev *device, const Wait *wait, Error *err);

/* Whether the device is noticeably larger than its filesystem: 1 or 0. EBS grows by GiB; a
 * filesystem of ours leaves the last MiB of its device alone. ret_device_bytes: how large the
 * device is now. */
int filesystem_can_grow(const Blockdev *device, uint64_t *ret_device_bytes, Error *err);
