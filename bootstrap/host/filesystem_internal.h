/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "host/filesystem.h"

/* What host/filesystem_probe.c, host/filesystem.c and their tests share.
 *
 * The marker. mkfs killed half-way leaves a disk that is neither blank nor a filesystem, and
 * nothing on it says whose it is. So a disk that may be formatted first gets zeros over its first
 * and its last MiB where they are not zero, and then a marker: one sector that names the volume,
 * the label and the UUID that the filesystem will have. It lies in the last MiB, which
 * mkfs is told to leave alone (the filesystem ends before it), and it is erased once the filesystem
 * is whole and on the disk. The states that exist, and what each proves:
 *
 *   all that is read zero, no signature         blank: nothing was begun
 *   all that is read zero or random             new and encrypted, or encrypted data: the caller
 *                                                 must know, as this disk does not tell; so also
 *                                                 where only the zeros were written
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

/* The look of all blocks that were read, from the most to the least harmless. */
typedef enum DiskBytes {
        DISK_BYTES_ZERO,  /* all zero */
        DISK_BYTES_NOISE, /* zero, or indistinguishable from random */
        DISK_BYTES_DATA,  /* at least one block is neither */
} DiskBytes;

/* Classifies one block of n bytes (512 or more). Pure. */
DiskBytes disk_bytes_of_block(const unsigned char *data, size_t n);

/* Blocks that are read between the first and the last MiB. Sample i of a disk with m blocks of
 * 4 KiB between them is block i * m / DISK_SAMPLES (integer division) after the first MiB. */
#define DISK_SAMPLES 2048

/* Reads the first and the last MiB and DISK_SAMPLES blocks between them. *ret says what they look
 * like, *ret_at where the first byte of the first block is that decided so. Stops at the first
 * block that is neither zero nor random. */
int disk_sample(int fd, const char *name, uint64_t size, const Wait *wait, DiskBytes *ret,
                uint64_t *ret_at, Error *err);

/* Reads n bytes at the offset: all of them, or an error; what cannot be read is not zero. */
int disk_read(int fd, const char *name, void *data, size_t n, uint64_t offset, Error *err);

/* ext4's superblock; https://docs.kernel.org/filesystems/ext4/super.html */
#define DISK_EXT4_SUPER_OFFSET 1024
#define DISK_EXT4_SUPER_BYTES  1024

/* Returns true if the checksum of an ext4 superblock is wrong, or is not there though the
 * filesystem is ours: ours are made with one, so one that lacks it has lost the bit that says so.
 * Pure. */
bool disk_ext4_is_damaged(const unsigned char super[DISK_EXT4_SUPER_BYTES], bool is_ours);

/* Goes on with a CRC32C over n bytes: neither begun with all bits set nor inverted at the end. */
uint32_t disk_crc32c(uint32_t crc, const unsigned char *data, size_t n);

/* What was seen on a disk: what the verdict follows from, and nothing else. */
typedef struct DiskFacts {
        bool ambivalent; /* libblkid found signatures that contradict each other */
        char type[32];   /* of a filesystem, RAID member, container …; "" if none */
        char label[64];
        char uuid[64];
        char table[16];    /* of a partition table; "" if none */
        bool bad_checksum; /* of the superblock; for ext2 to ext4 as disk_ext4_is_damaged() */
        bool was_mounted;  /* ext4: at least once */
        bool last_zero;    /* the last MiB but for the marker's sector */
        bool block_zero;   /* the first 4 KiB but for where ext4 has its superblock */
        DiskMarker marker;
        char marker_uuid[DISK_UUID_MAX];
        DiskBytes bytes;  /* looked at where disk_needs_sample() */
        uint64_t data_at; /* where the first byte of the block is that decided `bytes` */
} DiskFacts;

/* Returns true if the signatures and the marker do not decide what is on the disk: there is no
 * marker, and no signature but those that random bytes imitate. Pure. */
bool disk_needs_sample(const DiskFacts *facts);

/* The verdict. Pure. */
void disk_judge(const DiskFacts *facts, const char *label, DiskProbe *ret);

/* Looks at an open disk (or, in tests, a file) and judges. ret_facts may be NULL. */
int disk_probe_fd(int fd, const char *name, const char *volume_id, const char *label,
                  const Wait *wait, DiskProbe *ret, DiskFacts *ret_facts, Error *err);
