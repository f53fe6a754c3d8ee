/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "host/filesystem.h"

/* What host/filesystem_probe.c, host/filesystem.c and their tests share.
 *
 * The marker. mkfs killed half-way leaves a disk that is neither blank nor a filesystem, and
 * nothing on it says whose it is. So a disk proven blank first gets a marker: one sector that names
 * the volume, the label and the UUID that the filesystem will have. It lies in the last MiB, which
 * mkfs is told to leave alone (the filesystem ends before it), and it is erased once the filesystem
 * is whole and on the disk. The states that exist, and what each proves:
 *
 *   first, last MiB zero, no signature          blank: nothing was begun
 *   marker, otherwise as blank                  ours: mkfs had not begun to write
 *   marker, no signature, first block empty     ours: mkfs was killed (its superblock comes last)
 *   marker, ext4 with the marker's UUID and     ours: mkfs ended, or nearly did: whether all of it
 *     never mounted                               is on the disk is not known, so it is made again
 *   ext4 with the label, no marker              whole
 *   marker and anything else                    foreign: somebody has used the disk since
 *
 * The marker is written and erased as one sector, which a disk does whole or not at all. */

#define DISK_EDGE_BYTES   (UINT64_C(1) << 20)
#define DISK_MARKER_BYTES 512
#define DISK_UUID_MAX     37

/* Where the marker is on a device of that size: at its last whole 4 KiB. */
uint64_t disk_marker_offset(uint64_t size_bytes);

/* The sector. uuid: 36 characters, lower case. */
void disk_marker_make(const char *volume_id, const char *label, const char *uuid,
                      char ret[DISK_MARKER_BYTES]);

typedef enum DiskMarker {
        DISK_MARKER_NONE,
        DISK_MARKER_OURS,
        DISK_MARKER_OTHER, /* of another volume, another label, or damaged */
} DiskMarker;

/* Whether the sector is the marker of this volume and label; OURS fills ret_uuid. */
DiskMarker disk_marker_read(const char sector[DISK_MARKER_BYTES], const char *volume_id,
                            const char *label, char ret_uuid[DISK_UUID_MAX]);

/* What was seen on a disk: what the verdict follows from, and nothing else. */
typedef struct DiskFacts {
        bool ambivalent; /* libblkid found signatures that contradict each other */
        char type[32];   /* of a filesystem, RAID member, container …; "" if none */
        char label[64];
        char uuid[64];
        char table[16];    /* of a partition table; "" if none */
        bool bad_checksum; /* of the superblock */
        bool was_mounted;  /* ext4: at least once */
        bool first_zero;   /* the first MiB */
        bool last_zero;    /* the last MiB but for the marker's sector */
        bool block_zero;   /* the first 4 KiB but for where ext4 has its superblock */
        uint64_t data_at;  /* where the first byte that is not zero is, if one of them is not */
        DiskMarker marker;
        char marker_uuid[DISK_UUID_MAX];
} DiskFacts;

/* The verdict. Pure. */
void disk_judge(const DiskFacts *facts, const char *label, DiskProbe *ret);

/* Looks at an open disk (or, in tests, a file) and judges. ret_facts may be NULL. */
int disk_probe_fd(int fd, const char *name, const char *volume_id, const char *label,
                  const Wait *wait, DiskProbe *ret, DiskFacts *ret_facts, Error *err);
