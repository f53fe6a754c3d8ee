/* SPDX-License-Identifier: Apache-2.0 */
#include <blkid/blkid.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/string.h"
#include "host/filesystem_internal.h"

#define MARKER_TITLE "kube-bootstrap is making a filesystem here\n"
#define MARKER_UUID  "uuid "

#define BLOCK_BYTES 4096

/* in ext4's superblock */
#define EXT4_S_MTIME     0x2C
#define EXT4_S_MNT_COUNT 0x34

static const char *const content_names[_DISK_CONTENT_MAX] = {
        [DISK_CANNOT_TELL] = "cannot-tell",
        [DISK_BLANK] = "blank",
        [DISK_NOISE] = "noise",
        [DISK_UNRECOGNISED] = "unrecognised",
        [DISK_OURS] = "ours",
        [DISK_INTERRUPTED] = "interrupted",
        [DISK_FOREIGN] = "foreign",
};

/* Signatures that are so short, and checked so little, that random bytes can look like them
 * (systemd#37328, bottlerocket#4855). The odds follow from libblkid's source (libblkid/src of
 * util-linux 2.38 to 2.41). On 400,000 disks of random bytes, libblkid 2.38.1 found the last four
 * 24 times, and one other signature, ext4, once. These signatures decide nothing if the disk's
 * blocks look random too: a real table or filesystem of these kinds has blocks that do not. ext4 is
 * not in the list, because this cluster's own volume has it. */
static const char *const imitable[] = {
        "atari",   /* no magic, only sizes that fit the disk: up to 1 in 1,800 at 1 TB */
        "ext4dev", /* as jbd, with other bits */
        "hfsplus", /* two bytes, one of two values: 1 in 32,768 */
        "jbd",     /* two bytes and one bit: 1 in 131,072 */
        "jmicron_raid_member", /* two bytes: 1 in 65,536 */
};

static bool is_imitable(const char *name)
{
        bool found = !name[0];
        FOREACH_ARRAY(i, imitable, ELEMENTS(imitable)) {
                found = found || streq(*i, name);
        }
        return found;
}

const char *disk_content_to_string(DiskContent content)
{
        return content >= 0 && content < _DISK_CONTENT_MAX ? content_names[content] : "invalid";
}

uint64_t disk_marker_offset(uint64_t size_bytes)
{
        return size_bytes / BLOCK_BYTES * BLOCK_BYTES - BLOCK_BYTES;
}

void disk_marker_make(const char *volume_id, const char *label, const char *uuid,
                      char ret[DISK_MARKER_BYTES])
{
        memset(ret, 0, DISK_MARKER_BYTES);
        (void) snprintf(ret, DISK_MARKER_BYTES,
                        MARKER_TITLE MARKER_UUID "%s\nlabel %s\nvolume %s\n", uuid, label,
                        volume_id);
}

DiskMarker disk_marker_read(const char sector[DISK_MARKER_BYTES], const char *volume_id,
                            const char *label, char ret_uuid[DISK_UUID_MAX])
{
        static const char begin[] = MARKER_TITLE MARKER_UUID;
        if (memcmp(sector, MARKER_TITLE, strlen(MARKER_TITLE)) != 0) {
                return DISK_MARKER_NONE;
        }
        char uuid[DISK_UUID_MAX] = "", expected[DISK_MARKER_BYTES];
        memcpy(uuid, sector + strlen(begin), DISK_UUID_MAX - 1);
        if (strspn(uuid, "0123456789abcdef-") != DISK_UUID_MAX - 1) {
                return DISK_MARKER_OTHER;
        }
        /* Volume, label and UUID determine the whole text, so the rest needs no parsing. */
        disk_marker_make(volume_id, label, uuid, expected);
        if (memcmp(sector, expected, DISK_MARKER_BYTES) != 0) {
                return DISK_MARKER_OTHER;
        }
        memcpy(ret_uuid, uuid, DISK_UUID_MAX);
        return DISK_MARKER_OURS;
}

/* Describes what is on the disk, for people. */
static void probe_describe(const DiskFacts *facts, char *ret, size_t size)
{
        static const char *const markers[] = {
                [DISK_MARKER_NONE] = "",
                [DISK_MARKER_OURS] = ", changed by another after its making was interrupted",
                [DISK_MARKER_OTHER] = ", and the mark of another volume's unfinished formatting",
        };
        char table[64] = "", label[96] = "", uuid[96] = "";
        const char *marker = markers[facts->marker];
        if (facts->ambivalent) {
                (void) snprintf(ret, size, "signatures that contradict each other%s", marker);
                return;
        }
        if (facts->table[0]) {
                (void) snprintf(table, sizeof(table), "partition table (%s)", facts->table);
        }
        if (!facts->type[0]) {
                (void) snprintf(ret, size, "%s%s", table[0] ? table : "no known signature", marker);
                return;
        }
        if (facts->label[0]) {
                (void) snprintf(label, sizeof(label), " labelled \"%s\"", facts->label);
        }
        if (facts->uuid[0]) {
                (void) snprintf(uuid, sizeof(uuid), " (UUID %s)", facts->uuid);
        }
        const char *damage = facts->bad_checksum ? " with a damaged superblock" : "";
        const char *and = table[0] ? " and a " : "";
        (void) snprintf(ret, size, "%s%s%s%s%s%s%s", facts->type, label, uuid, damage, and, table,
                        marker);
}

bool disk_needs_sample(const DiskFacts *facts)
{
        return !facts->ambivalent && facts->marker == DISK_MARKER_NONE &&
               is_imitable(facts->table) && is_imitable(facts->type);
}

/* Returns the content where no signature and no marker decides. */
static DiskContent content_by_sample(const DiskFacts *facts)
{
        if (facts->bytes == DISK_BYTES_NOISE) {
                return DISK_NOISE;
        }
        if (facts->table[0] || facts->type[0]) {
                return DISK_FOREIGN;
        }
        return facts->bytes == DISK_BYTES_ZERO ? DISK_BLANK : DISK_UNRECOGNISED;
}

static DiskContent content_of(const DiskFacts *facts, const char *label)
{
        if (disk_needs_sample(facts)) {
                return content_by_sample(facts);
        }
        if (facts->ambivalent || facts->table[0]) {
                return DISK_FOREIGN;
        }
        if (!facts->type[0]) {
                /* was_mounted: the filesystem was used, and its signature was lost later */
                return facts->marker == DISK_MARKER_OURS && facts->block_zero && facts->last_zero &&
                                       !facts->was_mounted
                               ? DISK_INTERRUPTED
                               : DISK_UNRECOGNISED;
        }
        if (!streq(facts->type, "ext4")) {
                return DISK_FOREIGN;
        }
        if (facts->marker == DISK_MARKER_OURS) {
                return streq(facts->uuid, facts->marker_uuid) && !facts->was_mounted &&
                                       facts->block_zero && facts->last_zero
                               ? DISK_INTERRUPTED
                               : DISK_FOREIGN;
        }
        return facts->marker == DISK_MARKER_NONE && !facts->bad_checksum &&
                               streq(facts->label, label)
                       ? DISK_OURS
                       : DISK_FOREIGN;
}

/* Returns true for ext2, ext3 and ext4. They share one superblock format; libblkid tells them apart
 * by its feature bits. */
static bool is_ext(const DiskFacts *facts)
{
        return string_starts_with(facts->type, "ext");
}

void disk_judge(const DiskFacts *facts, const char *label, DiskProbe *ret)
{
        unsigned long long at = facts->data_at;
        *ret = (DiskProbe) { .content = content_of(facts, label),
                             .bad_superblock = is_ext(facts) && facts->bad_checksum &&
                                               facts->marker == DISK_MARKER_NONE };
        switch (ret->content) {
        case DISK_BLANK:
                (void) snprintf(ret->what, sizeof(ret->what), "nothing");
                break;
        case DISK_NOISE:
                (void) snprintf(ret->what, sizeof(ret->what), "random bytes from byte %llu on", at);
                break;
        case DISK_UNRECOGNISED:
                if (facts->marker != DISK_MARKER_NONE) {
                        probe_describe(facts, ret->what, sizeof(ret->what));
                } else {
                        (void) snprintf(ret->what, sizeof(ret->what),
                                        "unrecognised data at byte %llu", at);
                }
                break;
        case DISK_INTERRUPTED:
                (void) snprintf(ret->what, sizeof(ret->what),
                                "a filesystem of ours whose making was interrupted");
                break;
        default:
                probe_describe(facts, ret->what, sizeof(ret->what));
        }
        (void) snprintf(ret->uuid, sizeof(ret->uuid), "%s",
                        ret->content == DISK_INTERRUPTED ? facts->marker_uuid : facts->uuid);
}

int disk_read(int fd, const char *name, void *data, size_t n, uint64_t offset, Error *err)
{
        for (size_t done = 0; done < n;) {
                uint64_t at = offset + done;
                ssize_t k = pread(fd, (char *) data + done, n - done, (off_t) at);
                if (k < 0 && errno == EINTR) {
                        continue;
                }
                if (k < 0) {
                        return error_errno(err, errno, "read %s at byte %llu", name,
                                           (unsigned long long) at);
                }
                if (k == 0) {
                        return error_set(err, ERROR_RETRY, EIO,
                                         "read %s: it ends at byte %llu, before its size", name,
                                         (unsigned long long) at);
                }
                done += (size_t) k;
        }
        return 0;
}

/* Returns the index of the first byte that is not zero, or n if all are zero. */
static size_t zeros(const unsigned char *data, size_t n)
{
        size_t i = 0;
        while (i < n && data[i] == 0) {
                i++;
        }
        return i;
}

/* Looks at the first and the last MiB (on a disk of less than 2 MiB they overlap). */
static int look_at_edges(int fd, const char *name, uint64_t size, const char *volume_id,
                         const char *label, DiskFacts *facts, Error *err)
{
        size_t n = size < DISK_EDGE_BYTES ? (size_t) size : (size_t) DISK_EDGE_BYTES;
        _cleanup_free_ unsigned char *edge = calloc(1, n);
        if (!edge) {
                return error_oom(err);
        }
        int r = disk_read(fd, name, edge, n, 0, err);
        if (r < 0) {
                return r;
        }
        const unsigned char *super = edge + DISK_EXT4_SUPER_OFFSET;
        uint32_t mtime;
        uint16_t mounts;
        memcpy(&mtime, super + EXT4_S_MTIME, sizeof(mtime));
        memcpy(&mounts, super + EXT4_S_MNT_COUNT, sizeof(mounts));
        facts->was_mounted = le32toh(mtime) != 0 || le16toh(mounts) != 0;
        size_t after = DISK_EXT4_SUPER_OFFSET + DISK_EXT4_SUPER_BYTES;
        facts->block_zero = zeros(edge, DISK_EXT4_SUPER_OFFSET) == DISK_EXT4_SUPER_OFFSET &&
                            zeros(edge + after, BLOCK_BYTES - after) == BLOCK_BYTES - after;

        r = disk_read(fd, name, edge, n, size - n, err);
        if (r < 0) {
                return r;
        }
        unsigned char *marker = edge + (disk_marker_offset(size) - (size - n));
        facts->marker =
                disk_marker_read((const char *) marker, volume_id, label, facts->marker_uuid);
        if (facts->marker != DISK_MARKER_NONE) {
                memset(marker, 0, DISK_MARKER_BYTES);
        }
        facts->last_zero = zeros(edge, n) == n;
        return 0;
}

DEFINE_CLEANUP(blkid_probe, blkid_free_probe);

static void take_value(blkid_probe probe, const char *name, char *ret, size_t size)
{
        const char *value = NULL;
        if (blkid_probe_lookup_value(probe, name, &value, NULL) == 0) {
                (void) snprintf(ret, size, "%s", value);
        }
}

static int look_for_signatures(int fd, const char *name, DiskFacts *facts, Error *err)
{
        _cleanup_(blkid_free_probep) blkid_probe probe = blkid_new_probe();
        if (!probe) {
                return error_oom(err);
        }
        errno = 0;
        if (blkid_probe_set_device(probe, fd, 0, 0) < 0 ||
            blkid_probe_enable_superblocks(probe, 1) < 0 ||
            blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL |
                                                             BLKID_SUBLKS_UUID |
                                                             BLKID_SUBLKS_BADCSUM) < 0 ||
            blkid_probe_enable_partitions(probe, 1) < 0 ||
            blkid_probe_set_partitions_flags(probe, BLKID_PARTS_FORCE_GPT) < 0) {
                return error_errno(err, errno ? errno : EIO, "prepare to probe %s", name);
        }
        errno = 0;
        int r = blkid_do_safeprobe(probe);
        if (r == -2) {
                facts->ambivalent = true;
                return 0;
        }
        if (r < 0) {
                return error_errno(err, errno ? errno : EIO, "probe %s for signatures", name);
        }
        if (r == 1) { /* nothing */
                return 0;
        }
        char damaged[4] = "";
        take_value(probe, "TYPE", facts->type, sizeof(facts->type));
        take_value(probe, "LABEL", facts->label, sizeof(facts->label));
        take_value(probe, "UUID", facts->uuid, sizeof(facts->uuid));
        take_value(probe, "PTTYPE", facts->table, sizeof(facts->table));
        take_value(probe, "SBBADCSUM", damaged, sizeof(damaged));
        facts->bad_checksum = streq(damaged, "1");
        /* libblkid found something that has neither name. It must not count as nothing. */
        facts->ambivalent = !facts->type[0] && !facts->table[0];
        return 0;
}

static int look_at_superblock(int fd, const char *name, const char *label, DiskFacts *facts,
                              Error *err)
{
        unsigned char super[DISK_EXT4_SUPER_BYTES];
        int r = disk_read(fd, name, super, sizeof(super), DISK_EXT4_SUPER_OFFSET, err);
        if (r >= 0) {
                facts->bad_checksum = disk_ext4_is_damaged(super, streq(facts->label, label));
        }
        return r;
}

int disk_probe_fd(int fd, const char *name, const char *volume_id, const char *label,
                  const Wait *wait, DiskProbe *ret, DiskFacts *ret_facts, Error *err)
{
        DiskFacts facts = {};
        off_t size = lseek(fd, 0, SEEK_END);
        if (size < 0) {
                return error_errno(err, errno, "size of %s", name);
        }
        if (size < 2 * BLOCK_BYTES) {
                return error_set(err, ERROR_RETRY, EIO, "%s has only %lld bytes", name,
                                 (long long) size);
        }
        /* The edges are read first, because libblkid treats some read errors as "nothing there". */
        int r = look_at_edges(fd, name, (uint64_t) size, volume_id, label, &facts, err);
        if (r < 0) {
                return r;
        }
        r = wait_check(wait, err);
        if (r < 0) {
                return r;
        }
        r = look_for_signatures(fd, name, &facts, err);
        if (r >= 0 && is_ext(&facts)) {
                r = look_at_superblock(fd, name, label, &facts, err);
        }
        if (r >= 0 && disk_needs_sample(&facts)) {
                r = disk_sample(fd, name, (uint64_t) size, wait, &facts.bytes, &facts.data_at, err);
        }
        if (r < 0) {
                return r;
        }
        disk_judge(&facts, label, ret);
        if (ret_facts) {
                *ret_facts = facts;
        }
        return 0;
}

/* Probes a disk again whose superblock seemed damaged. The kernel (for a mounted filesystem),
 * e2fsck and mkfs hold the exclusive claim on the disk while they change a superblock, field by
 * field, so a reader may see half of a change. While this function holds the claim, none of them
 * changes the superblock. */
static int probe_look_again(const Blockdev *device, const char *label, const Wait *wait,
                            DiskProbe *probe, DiskFacts *facts, Error *err)
{
        _cleanup_close_ int fd = open(device->node, O_RDONLY | O_EXCL | O_CLOEXEC);
        if (fd < 0 && errno == EBUSY) {
                facts->bad_checksum = false; /* not known */
                disk_judge(facts, label, probe);
                return 0;
        }
        if (fd < 0) {
                return error_errno(err, errno, "open %s", device->node);
        }
        return disk_probe_fd(fd, device->node, device->volume_id, label, wait, probe, facts, err);
}

int filesystem_probe(const Blockdev *device, const char *label, const Wait *wait, DiskProbe *ret,
                     Error *err)
{
        _cleanup_close_ int fd = open(device->node, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                return error_errno(err, errno, "open %s", device->node);
        }
        /* Verified while open: a disk that is held keeps its name and number. */
        int r = blockdev_verify(device, err);
        if (r < 0) {
                return r;
        }
        struct stat st;
        if (fstat(fd, &st) < 0) {
                return error_errno(err, errno, "stat %s", device->node);
        }
        if (st.st_rdev != device->devnum) {
                return error_set(err, ERROR_UNSAFE, ENODEV, "%s has become another device",
                                 device->node);
        }
        DiskProbe probe = {};
        DiskFacts facts = {};
        r = disk_probe_fd(fd, device->node, device->volume_id, label, wait, &probe, &facts, err);
        if (r >= 0 && probe.bad_superblock) {
                r = probe_look_again(device, label, wait, &probe, &facts, err);
        }
        if (r < 0) {
                return r;
        }
        *ret = probe;
        return 0;
}
