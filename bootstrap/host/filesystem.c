/* SPDX-License-Identifier: Apache-2.0 */
#include "host/filesystem.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/effect.h"
#include "base/file.h"
#include "base/string.h"
#include "host/filesystem_internal.h"
#include "host/process.h"

#define MKFS   "/sbin/mkfs.ext4"
#define FSCK   "/sbin/e2fsck"
#define RESIZE "/sbin/resize2fs"

#define BLOCK_BYTES      4096
#define DEVICE_BYTES_MIN (UINT64_C(64) << 20)
#define GROW_BYTES_MIN   (UINT64_C(64) << 20)

/* udev holds a shared lock while it looks at a disk that has just appeared. */
#define LOCK_WAIT_MS 30000

/* e2fsck(8) */
#define FSCK_ERRORS_LEFT 4
#define FSCK_OPERATIONAL 8
#define FSCK_CANCELLED   32

/* e2fsck's words for a superblock with a feature that it does not know, with exit status 8 or 12
 * (e2fsck/unix.c, e2fsck/super.c). */
#define FSCK_UNKNOWN_FEATURE "unsupported feature"
#define FSCK_TOO_OLD         "newer version of e2fsck"

/* e2fsck's words, with exit status 8, for a superblock whose checksum or magic is wrong. */
#define FSCK_BAD_SUPERBLOCK "superblock could not be read or does not describe a valid"

/* Puts the end of a stream into ret, in one line. */
static void last_line(const Buffer *text, char *ret, size_t size)
{
        size_t skip = text->size >= size ? text->size - size + 1 : 0;
        (void) snprintf(ret, size, "%s", text->size > 0 ? text->data + skip : "");
        string_strip_end(ret);
        size_t begin = strspn(ret, "\n\t\r ");
        memmove(ret, ret + begin, strlen(ret + begin) + 1);
        for (char *p = ret; *p; p++) {
                if (*p == '\n' || *p == '\t' || *p == '\r') {
                        *p = ' ';
                }
        }
}

/* Joins the last words of a program on both streams: e2fsck writes the reason to one stream and the
 * advice to the other. */
static void last_words(const ProcessResult *result, char ret[512])
{
        char output[250];
        last_line(&result->errors, ret, 250);
        last_line(&result->output, output, sizeof(output));
        if (output[0]) {
                size_t used = strlen(ret);
                (void) snprintf(ret + used, 512 - used, "%s%s", used ? "; " : "", output);
        }
}

static bool says(const ProcessResult *result, const char *text)
{
        return (result->errors.size > 0 && strstr(result->errors.data, text)) ||
               (result->output.size > 0 && strstr(result->output.data, text));
}

static int open_device(const Blockdev *device, int flags, int *ret_fd, Error *err)
{
        _cleanup_close_ int fd = open(device->node, flags | O_CLOEXEC);
        if (fd < 0) {
                return error_errno(err, errno, "open %s%s", device->node,
                                   errno == EBUSY ? " (in use: mounted, or part of another device)"
                                                  : "");
        }
        struct stat st;
        if (fstat(fd, &st) < 0) {
                return error_errno(err, errno, "stat %s", device->node);
        }
        if (!S_ISBLK(st.st_mode) || st.st_rdev != device->devnum) {
                return error_set(err, ERROR_UNSAFE, ENODEV, "%s has become another device",
                                 device->node);
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Keeps udev away, and any other program that follows
 * https://systemd.io/BLOCK_DEVICE_LOCKING/ */
static int lock_device(int fd, const char *node, const Wait *wait, Error *err)
{
        Wait part = wait_part(wait, LOCK_WAIT_MS);
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR) {
                        return error_errno(err, errno, "lock %s", node);
                }
                if (wait_sleep(&part, 100, err) < 0) {
                        return error_prefix(err, "%s is locked by another program", node);
                }
        }
        return 0;
}

/* Writes n bytes at the offset, and returns once they are on the disk. */
static int write_through(int fd, const char *node, const char *kind, const void *data, size_t n,
                         uint64_t at, Error *err)
{
        Effect effect = effect_before(kind, node);
        ssize_t written = pwrite(fd, data, n, (off_t) at);
        int r = 0;
        if (written < 0) {
                r = -errno;
        } else if (written != (ssize_t) n) {
                r = -EIO;
        } else if (fsync(fd) < 0) {
                r = -errno;
        }
        effect_after(&effect, r, NULL);
        return r < 0 ? error_errno(err, r, "write %s at byte %llu", node, (unsigned long long) at)
                     : 0;
}

static int device_size(int fd, const char *node, uint64_t *ret, Error *err)
{
        off_t size = lseek(fd, 0, SEEK_END);
        if (size < 0) {
                return error_errno(err, errno, "size of %s", node);
        }
        *ret = (uint64_t) size;
        return 0;
}

static int write_marker(int fd, const char *node, const char sector[DISK_MARKER_BYTES], Error *err)
{
        uint64_t size = 0;
        int r = device_size(fd, node, &size, err);
        return r < 0 ? r
                     : write_through(fd, node, "marker", sector, DISK_MARKER_BYTES,
                                     disk_marker_offset(size), err);
}

/* Writes zeros over the first and the last MiB. After that, the marker's states are the same as for
 * a disk that was blank. The first MiB is written first, because signatures lie there. */
static int write_zeros(int fd, const char *node, Error *err)
{
        uint64_t size = 0;
        int r = device_size(fd, node, &size, err);
        if (r < 0) {
                return r;
        }
        _cleanup_free_ char *zeros = calloc(1, DISK_EDGE_BYTES);
        if (!zeros) {
                return error_oom(err);
        }
        r = write_through(fd, node, "zeros", zeros, DISK_EDGE_BYTES, 0, err);
        return r < 0 ? r
                     : write_through(fd, node, "zeros", zeros, DISK_EDGE_BYTES,
                                     size - DISK_EDGE_BYTES, err);
}

int filesystem_draw_uuid(char ret[DISK_UUID_MAX], Error *err)
{
        _cleanup_free_ char *line = NULL;
        int r = file_read_line("/proc/sys/kernel/random/uuid", &line);
        if (r < 0 || strlen(line) != DISK_UUID_MAX - 1) {
                return error_errno(err, r < 0 ? r : EINVAL, "draw a UUID from the kernel");
        }
        (void) snprintf(ret, DISK_UUID_MAX, "%s", line);
        return 0;
}

/* Opens the device with an exclusive claim, and looks at what is on it. */
static int claim_and_probe(const Blockdev *device, const FormatOrder *order, const Wait *wait,
                           int *ret_fd, DiskProbe *ret, DiskFacts *ret_facts, Error *err)
{
        _cleanup_close_ int fd = -EBADF;
        int r = open_device(device, O_RDWR | O_EXCL, &fd, err);
        if (r < 0) {
                return r;
        }
        r = blockdev_verify(device, err);
        if (r < 0) {
                return r;
        }
        if (fsync(fd) < 0) { /* data that others wrote counts only once it is on the disk */
                return error_errno(err, errno, "sync %s", device->node);
        }
        r = disk_probe_fd(fd, device->node, device->volume_id, order->label, wait, ret, ret_facts,
                          err);
        if (r < 0) {
                return r;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Probes the device and writes the marker. One exclusive claim covers both, so no other claim comes
 * between them. Returns 1 if mkfs must run, 0 if the disk is ours already. */
static int claim_for_format(const Blockdev *device, const FormatOrder *order, const Wait *wait,
                            Error *err)
{
        _cleanup_close_ int fd = -EBADF;
        DiskProbe probe = {};
        DiskFacts facts = {};
        int r = claim_and_probe(device, order, wait, &fd, &probe, &facts, err);
        if (r < 0) {
                return r;
        }
        if (probe.content == DISK_OURS) {
                return 0;
        }
        if (probe.content == DISK_INTERRUPTED && streq(probe.uuid, order->uuid)) {
                return 1; /* the right marker is there already */
        }
        bool gives_up = (order->gives_up & DISK_MASK(probe.content)) != 0;
        if (probe.content == DISK_FOREIGN || (probe.content != DISK_BLANK && !gives_up)) {
                return error_set(err, ERROR_UNSAFE, EEXIST,
                                 "%s holds %s: not formatted, nothing was written", device->node,
                                 probe.what);
        }
        if (probe.content != DISK_BLANK) {
                r = write_zeros(fd, device->node, err);
                if (r < 0) {
                        return r;
                }
        }
        char sector[DISK_MARKER_BYTES];
        disk_marker_make(device->volume_id, order->label, order->uuid, sector);
        r = write_marker(fd, device->node, sector, err);
        return r < 0 ? r : 1;
}

static int run_mkfs(const Blockdev *device, const FormatOrder *order, const Wait *wait, Error *err)
{
        char blocks[24];
        (void) snprintf(
                blocks, sizeof(blocks), "%llu",
                (unsigned long long) ((device->size_bytes - DISK_EDGE_BYTES) / BLOCK_BYTES));
        /* metadata_csum is the default since e2fsprogs 1.44, and the probe relies on it. nodiscard:
         * the probe did not read all of the middle of the disk, so mkfs must not discard it. */
        const char *const argv[] = {
                MKFS,         "-q",         "-b",         "4096",      "-m",
                "1",          "-e",         "remount-ro", "-O",        "metadata_csum",
                "-E",         "nodiscard",  "-U",         order->uuid, "-L",
                order->label, device->node, blocks,       NULL
        };
        _cleanup_process_result_ ProcessResult result = {};
        int r = process_run(&(ProcessOptions) { .argv = argv }, wait, &result, err);
        if (r < 0) {
                return r;
        }
        if (result.exit_status != 0) {
                char said[512];
                last_words(&result, said);
                return error_set(err, ERROR_RETRY, EIO,
                                 "mkfs.ext4 %s: exit status %d, signal %d: %s", device->node,
                                 result.exit_status, result.signal, said);
        }
        return 0;
}

/* Erases the marker once the new filesystem is complete and on the disk. */
static int finish_format(const Blockdev *device, const FormatOrder *order, const Wait *wait,
                         Error *err)
{
        _cleanup_close_ int fd = -EBADF;
        DiskProbe probe = {};
        DiskFacts facts = {};
        int r = claim_and_probe(device, order, wait, &fd, &probe, &facts, err);
        if (r < 0) {
                return r;
        }
        if (probe.content != DISK_INTERRUPTED || facts.bad_checksum ||
            !streq(facts.uuid, order->uuid) || !streq(facts.label, order->label)) {
                return error_set(err, ERROR_UNSAFE, EIO,
                                 "after mkfs.ext4 %s holds %s: expected ext4 labelled \"%s\" "
                                 "(UUID %s)",
                                 device->node, probe.what, order->label, order->uuid);
        }
        return write_marker(fd, device->node, (const char[DISK_MARKER_BYTES]) {}, err);
}

int filesystem_format(const Blockdev *device, const FormatOrder *order, const Wait *wait,
                      Error *err)
{
        if (device->size_bytes < DEVICE_BYTES_MIN) {
                return error_set(err, ERROR_CONFIG, ENOSPC,
                                 "volume %s has %llu bytes: expected 64 MiB or more",
                                 device->volume_id, (unsigned long long) device->size_bytes);
        }
        /* This descriptor is held to the end. Meanwhile the kernel cannot give the node's name to
         * another disk, so mkfs opens the disk that was probed. The lock has its own descriptor,
         * because the exclusive one must be closed before mkfs makes its own exclusive claim. */
        _cleanup_close_ int lock = -EBADF;
        int r = open_device(device, O_RDWR, &lock, err);
        if (r < 0) {
                return r;
        }
        r = lock_device(lock, device->node, wait, err);
        if (r < 0) {
                return r;
        }
        r = claim_for_format(device, order, wait, err);
        if (r <= 0) {
                return r;
        }
        r = run_mkfs(device, order, wait, err);
        if (r < 0) {
                return r;
        }
        return finish_format(device, order, wait, err);
}

int filesystem_check(const Blockdev *device, const Wait *wait, Error *err)
{
        const char *const argv[] = { FSCK, "-p", device->node, NULL };
        _cleanup_process_result_ ProcessResult result = {};
        int r = process_run(&(ProcessOptions) { .argv = argv }, wait, &result, err);
        if (r < 0) {
                return r;
        }
        int status = result.exit_status;
        if (status >= 0 && status < FSCK_ERRORS_LEFT) {
                return 0;
        }
        char said[512];
        last_words(&result, said);
        if (says(&result, FSCK_UNKNOWN_FEATURE) || says(&result, FSCK_TOO_OLD)) {
                return error_set(err, ERROR_CONFIG, ENOTSUP,
                                 "%s has ext4 features that this image's e2fsprogs does not know, "
                                 "so a newer one made or changed it: boot an image with an "
                                 "e2fsprogs as new (e2fsck -p: exit status %d: %s)",
                                 device->node, status, said);
        }
        if (says(&result, FSCK_BAD_SUPERBLOCK)) {
                return error_set(err, ERROR_UNSAFE, EUCLEAN,
                                 "e2fsck -p %s: the superblock is damaged (exit status "
                                 "%d): " DISK_SUPERBLOCK_ADVICE,
                                 device->node, status, device->node);
        }
        if (status > 0 && status & FSCK_ERRORS_LEFT) {
                return error_set(
                        err, ERROR_UNSAFE, EUCLEAN,
                        "e2fsck -p %s: errors that it does not correct without a person (exit "
                        "status %d): %s; take a snapshot of the volume, then run e2fsck %s "
                        "by hand",
                        device->node, status, said, device->node);
        }
        bool passes = status < 0 || status & (FSCK_OPERATIONAL | FSCK_CANCELLED);
        return error_set(err, passes ? ERROR_RETRY : ERROR_FATAL, EIO,
                         "e2fsck -p %s: exit status %d, signal %d: %s", device->node, status,
                         result.signal, said);
}

int filesystem_can_grow(const Blockdev *device, uint64_t *ret_device_bytes, Error *err)
{
        /* The kernel keeps the superblock of a mounted ext4 in the same page cache. */
        enum {
                SUPER_OFFSET = 1024,
                BLOCKS_LO = 0x4,
                LOG_BLOCK = 0x18,
                MAGIC = 0x38,
                BLOCKS_HI = 0x150,
                SUPER_BYTES = 1024
        };
        _cleanup_close_ int fd = -EBADF;
        int r = open_device(device, O_RDONLY, &fd, err);
        if (r < 0) {
                return r;
        }
        unsigned char super[SUPER_BYTES];
        ssize_t n = pread(fd, super, sizeof(super), SUPER_OFFSET);
        off_t size = lseek(fd, 0, SEEK_END);
        if (n != SUPER_BYTES || size < 0) {
                return error_errno(err, n < 0 || size < 0 ? errno : EIO,
                                   "read the superblock of %s", device->node);
        }
        uint32_t low, high, log_block;
        memcpy(&low, super + BLOCKS_LO, sizeof(low));
        memcpy(&high, super + BLOCKS_HI, sizeof(high));
        memcpy(&log_block, super + LOG_BLOCK, sizeof(log_block));
        if (super[MAGIC] != 0x53 || super[MAGIC + 1] != 0xEF || le32toh(log_block) > 6) {
                return error_set(err, ERROR_UNSAFE, EUCLEAN, "%s has no ext4 superblock any more",
                                 device->node);
        }
        uint64_t blocks = (uint64_t) le32toh(high) << 32 | le32toh(low);
        uint64_t bytes = blocks << (10 + le32toh(log_block));
        *ret_device_bytes = (uint64_t) size;
        return (uint64_t) size > bytes && (uint64_t) size - bytes >= GROW_BYTES_MIN;
}

int filesystem_grow(const Blockdev *device, const Wait *wait, Error *err)
{
        const char *const argv[] = { RESIZE, device->node, NULL };
        _cleanup_process_result_ ProcessResult result = {};
        int r = process_run_checked(&(ProcessOptions) { .argv = argv }, wait, &result, err);
        return r < 0 ? r : 0;
}
