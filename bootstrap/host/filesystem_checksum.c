/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <string.h>

#include "host/filesystem_internal.h"

/* The checksum of ext4's superblock. libblkid 2.38 (Debian 12) does not verify it.
 *
 * It is the CRC32C of all bytes before it in the superblock: initial value all bits set, no
 * inversion at the end, little endian. It exists if the feature metadata_csum is set.
 * https://docs.kernel.org/filesystems/ext4/super.html
 * https://docs.kernel.org/filesystems/ext4/checksums.html
 * ext2fs_superblock_csum() and ext2fs_verify_csum_type() in e2fsprogs' lib/ext2fs/csum.c */

#define FEATURE_RO_COMPAT 0x64
#define CHECKSUM_TYPE     0x175
#define CHECKSUM          0x3FC

#define METADATA_CSUM UINT32_C(0x400) /* a bit of FEATURE_RO_COMPAT */
#define TYPE_CRC32C   1               /* the only one there is */

#define CRC32C_POLYNOMIAL UINT32_C(0x82F63B78) /* 0x1EDC6F41, its bits reversed */

uint32_t disk_crc32c(uint32_t crc, const unsigned char *data, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                crc ^= data[i];
                for (unsigned bit = 0; bit < 8; bit++) {
                        crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
                }
        }
        return crc;
}

static uint32_t read_le32(const unsigned char *at)
{
        uint32_t value;
        memcpy(&value, at, sizeof(value));
        return le32toh(value);
}

bool disk_ext4_is_damaged(const unsigned char super[DISK_EXT4_SUPER_BYTES], bool is_ours)
{
        if (!(read_le32(super + FEATURE_RO_COMPAT) & METADATA_CSUM)) {
                return is_ours;
        }
        return super[CHECKSUM_TYPE] != TYPE_CRC32C ||
               read_le32(super + CHECKSUM) != disk_crc32c(UINT32_MAX, super, CHECKSUM);
}
