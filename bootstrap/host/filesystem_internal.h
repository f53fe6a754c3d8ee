/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "host/filesystem.h"

/* Shared by the files host/filesystem*.c and their tests.
 *
 * The marker. An mkfs that is killed half-way leaves a disk that is neither blank nor a filesystem,
 * and nothing on the disk says whose it is. So before mkfs runs, the disk gets a marker: one sector
 * that names the volume, the label and the UUID that the filesystem will have. If the caller gives
 * up the disk's content, zeros are written over its first and its last MiB before that. The marker
 * lies in the last MiB, which mkfs is told to leave alone (the filesystem ends before it). The
 * marker is erased once the filesystem is complete and on the disk. The possible states, and what
 * each proves:
 *
 *   all that is read zero, no signature         blank: nothing was begun
 *   all that is read zero or random             new and encrypted, or encrypted data: the disk does
 *                                                 not tell, so the caller must know; the same if
 *                                                 only the zeros were written
 *   marker, otherwise blank                     ours: mkfs had not begun to write
 *   marker, no signature, first block empty     ours: mkfs was killed (its superblock comes last)
 *   marker, ext4 with the marker's UUID and     ours: mkfs ended, or nearly did. It is not known if
 *     never mounted                               all of it is on the disk, so mkfs runs again
 *   ext4 with the label, no marker              complete
 *   marker and anything else                    foreign, or unrecognised if there is no signature:
 *                                                 somebody has used the disk since
 *
 * A disk writes one sector completely or not at all, and the marker is written and erased as one
 * sector. */

#define DISK_EDGE_BYTES   (UINT64_C(1) << 20)
#define DISK_MARKER_BYTES 512

/* Returns where the marker is on a device of that size: at its last whole 4 KiB. */
uint64_t disk_marker_offset(uint64_t size_bytes);

/* Makes the marker's sector. uuid: 36 characters, lower case. */
void disk_marker_make(const char *volume_id, const char *label, const char *uuid,
                      char ret[DISK_MARKER_BYTES]);

typedef enum DiskMarker {
        DISK_MARKER_NONE,
        DISK_MARKER_OURS,
        DISK_MARKER_OTHER, /* of another volume, another label, or damaged */
} DiskMarker;

/* Returns DISK_MARKER_OURS and fills ret_uuid if the sector is the marker of this volume and
 * label. */
DiskMarker disk_marker_read(const char sector[DISK_MARKER_BYTES], const char *volume_id,
                            const char *label, char ret_uuid[DISK_UUID_MAX]);

/* The kind of bytes in all blocks that were read, the most harmless first. */
typedef enum DiskBytes {
        DISK_BYTES_ZERO,  /* all zero */
        DISK_BYTES_NOISE, /* zero, or indistinguishable from random */
        DISK_BYTES_DATA,  /* at least one block is neither */
} DiskBytes;

/* Classifies one block of n bytes (512 or more). Pure. */
DiskBytes disk_bytes_of_block(const unsigned char *data, size_t n);

/* Number of blocks that are read between the first and the last MiB. If m blocks of 4 KiB lie
 * between them, sample i is block i * m / DISK_SAMPLES (integer division) after the first MiB. */
#define DISK_SAMPLES 2048

/* Reads the first and the last MiB and DISK_SAMPLES blocks between them. *ret says what they look
 * like. *ret_at is the offset of the first byte that is not zero, in the first block that decided
 * *ret. Stops at the first block that is neither zero nor random. */
int disk_sample(int fd, const char *name, uint64_t size, const Wait *wait, DiskBytes *ret,
                uint64_t *ret_at, Error *err);

/* Reads n bytes at the offset: all of them, or it fails. Bytes that cannot be read must not count
 * as zero. */
int disk_read(int fd, const char *name, void *data, size_t n, uint64_t offset, Error *err);

/* ext4's superblock; https://docs.kernel.org/filesystems/ext4/super.html */
#define DISK_EXT4_SUPER_OFFSET 1024
#define DISK_EXT4_SUPER_BYTES  1024

/* Returns true if the checksum of an ext4 superblock is wrong, or is missing although the
 * filesystem is ours. Ours are made with a checksum, so a superblock without one has lost the
 * feature's bit. Pure. */
bool disk_ext4_is_damaged(const unsigned char super[DISK_EXT4_SUPER_BYTES], bool is_ours);

/* Continues a CRC32C over n bytes. The caller chooses the initial value; the result is not
 * inverted. */
uint32_t disk_crc32c(uint32_t crc, const unsigned char *data, size_t n);

/* The facts about a disk from which the verdict follows, and nothing else. */
typedef struct DiskFacts {
        bool ambivalent; /* libblkid found signatures that contradict each other */
        char type[32];   /* of a filesystem, RAID member, container …; "" if none */
        char label[64];
        char uuid[64];
        char table[16];    /* of a partition table; "" if none */
        bool bad_checksum; /* of the superblock; for ext2 to ext4 as disk_ext4_is_damaged() */
        bool was_mounted;  /* ext4: at least once */
        bool last_zero;    /* the last MiB is zero except for the marker's sector */
        bool block_zero;   /* the first 4 KiB are zero except for ext4's superblock */
        DiskMarker marker;
        char marker_uuid[DISK_UUID_MAX];
        DiskBytes bytes;  /* set only if disk_needs_sample() */
        uint64_t data_at; /* offset of the first byte that is not zero, in the block that decided
                             `bytes` */
} DiskFacts;

/* Returns true if the signatures and the marker do not decide what is on the disk: there is no
 * marker, and no signature but those that random bytes imitate. Pure. */
bool disk_needs_sample(const DiskFacts *facts);

/* Fills in the verdict. Pure. */
void disk_judge(const DiskFacts *facts, const char *label, DiskProbe *ret);

/* Looks at an open disk (or, in tests, a file) and judges. ret_facts may be NULL. */
int disk_probe_fd(int fd, const char *name, const char *volume_id, const char *label,
                  const Wait *wait, DiskProbe *ret, DiskFacts *ret_facts, Error *err);
