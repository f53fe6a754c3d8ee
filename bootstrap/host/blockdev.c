/* SPDX-License-Identifier: Apache-2.0 */
#include "host/blockdev.h"

#include <ctype.h>
#include <dirent.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/string.h"

#define POLL_FIRST_MS 100
#define POLL_MAX_MS   2000

static const char *sys_root = "/sys";
static const char *dev_root = "/dev";

void blockdev_set_roots(const char *sys, const char *dev)
{
        sys_root = sys;
        dev_root = dev;
}

DEFINE_CLEANUP(DIR *, closedir);

/* sysfs shows at most a page */
#define ATTRIBUTE_MAX 4096

/* Reads one attribute of a disk, without trailing blanks. Returns 1, or 0 if the disk or the
 * attribute does not exist (a disk may disappear during the search). Any other failure is an error,
 * because it must not read as absence. */
static int read_attribute(const char *disk, const char *attribute, char ret[ATTRIBUTE_MAX],
                          Error *err)
{
        _cleanup_free_ char *line = NULL;
        _cleanup_free_ char *path = string_format("%s/block/%s/%s", sys_root, disk, attribute);
        if (!path) {
                return error_oom(err);
        }
        int r = file_read_line(path, &line);
        if (r == -ENOENT || r == -ENOTDIR || r == -ENXIO || r == -ENODEV) {
                return 0;
        }
        if (r < 0 || !line || strlen(line) >= ATTRIBUTE_MAX) {
                return error_errno(err, r < 0 ? r : EFBIG, "read %s", path);
        }
        (void) snprintf(ret, ATTRIBUTE_MAX, "%s", string_strip_end(line));
        return 1;
}

/* Returns true for nvme1n1, false for a partition (nvme1n1p1) or for one path of several
 * (nvme1c0n1). EBS volumes are namespace 1. */
static bool is_nvme_namespace(const char *disk)
{
        if (!string_starts_with(disk, "nvme") || !isdigit((unsigned char) disk[4])) {
                return false;
        }
        const char *p = disk + 4;
        p += strspn(p, "0123456789");
        return streq(p, "n1");
}

/* "vol-0123" and "vol0123" are the same volume: the serial has no room for the hyphen. */
static bool is_same_volume(const char *serial, const char *volume_id)
{
        if (!string_starts_with(volume_id, "vol-")) {
                return false;
        }
        return streq(serial, volume_id) ||
               (string_starts_with(serial, "vol") &&
                streq(serial + strlen("vol"), volume_id + strlen("vol-")));
}

static int is_nvme_of_volume(const char *disk, const char *volume_id, Error *err)
{
        if (!is_nvme_namespace(disk)) {
                return 0;
        }
        char serial[ATTRIBUTE_MAX];
        int r = read_attribute(disk, "device/serial", serial, err);
        return r <= 0 ? r : is_same_volume(serial, volume_id);
}

/* Returns 1 if the loop device's backing file is named VOLUME-ID.img, else 0. The kernel appends
 * " (deleted)" to the name of a deleted file, so such a file does not match: it is no volume any
 * more. */
static int is_loop_of_volume(const char *disk, const char *volume_id, Error *err)
{
        if (!string_starts_with(disk, "loop")) {
                return 0;
        }
        char file[ATTRIBUTE_MAX];
        int r = read_attribute(disk, "loop/backing_file", file, err);
        if (r <= 0) {
                return r;
        }
        const char *slash = strrchr(file, '/');
        const char *name = slash ? slash + 1 : file;
        size_t n = strlen(volume_id);
        return strncmp(name, volume_id, n) == 0 && streq(name + n, ".img");
}

/* Compares device names, because Xen shows no volume id: the disk xvdf is the device that EC2 calls
 * /dev/sdf or /dev/xvdf. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html */
static bool is_xen_of_attachment(const char *disk, const char *device_name)
{
        const char *name = device_name;
        if (string_starts_with(name, "/dev/")) {
                name += strlen("/dev/");
        }
        if (string_starts_with(name, "sd")) {
                name += strlen("sd");
        } else if (string_starts_with(name, "xvd")) {
                name += strlen("xvd");
        } else {
                return false;
        }
        return *name && string_starts_with(disk, "xvd") && streq(disk + strlen("xvd"), name);
}

static int blockdev_read_number(const char *disk, const char *attribute, uint64_t *ret, Error *err)
{
        char text[ATTRIBUTE_MAX];
        int r = read_attribute(disk, attribute, text, err);
        if (r <= 0) {
                return r;
        }
        if (string_parse_u64(text, UINT64_MAX >> 9, ret) < 0) {
                return error_set(err, ERROR_FATAL, EINVAL, "%s of %s is \"%s\", not a number",
                                 attribute, disk, text);
        }
        return 1;
}

static int read_devnum(const char *disk, uint64_t *ret, Error *err)
{
        char text[ATTRIBUTE_MAX];
        int r = read_attribute(disk, "dev", text, err);
        if (r <= 0) {
                return r;
        }
        char *colon = strchr(text, ':');
        uint64_t major_number, minor_number;
        if (!colon) {
                return error_set(err, ERROR_FATAL, EINVAL, "dev of %s is \"%s\"", disk, text);
        }
        *colon = '\0';
        if (string_parse_u64(text, UINT32_MAX, &major_number) < 0 ||
            string_parse_u64(colon + 1, UINT32_MAX, &minor_number) < 0) {
                return error_set(err, ERROR_FATAL, EINVAL, "dev of %s is \"%s:%s\"", disk, text,
                                 colon + 1);
        }
        *ret = makedev((unsigned) major_number, (unsigned) minor_number);
        return 1;
}

/* Fills in the disk's node, number and size. Returns 1, or 0 while one of them is missing or the
 * node is not that disk's (other programs make nodes: devtmpfs, a container's manager). */
static int blockdev_describe(const char *disk, BlockdevKind kind, Blockdev *ret, Error *err)
{
        Blockdev device = { .kind = kind };
        int n = snprintf(device.node, sizeof(device.node), "%s/%s", dev_root, disk);
        if (n < 0 || (size_t) n >= sizeof(device.node)) {
                return error_set(err, ERROR_FATAL, ENAMETOOLONG, "disk name %s is too long", disk);
        }
        int r = read_devnum(disk, &device.devnum, err);
        if (r <= 0) {
                return r;
        }
        uint64_t sectors = 0;
        r = blockdev_read_number(disk, "size", &sectors, err);
        if (r <= 0) {
                return r;
        }
        device.size_bytes = sectors << 9; /* sysfs counts in units of 512 bytes on every disk */
        struct stat st;
        if (stat(device.node, &st) < 0) {
                return errno == ENOENT ? 0 : error_errno(err, errno, "stat %s", device.node);
        }
        if (!S_ISBLK(st.st_mode) || st.st_rdev != device.devnum || device.size_bytes == 0) {
                return 0;
        }
        *ret = device;
        return 1;
}

/* Returns 1 and the disk's kind if the disk itself says that it is the volume, else 0. */
static int claims_volume(const char *disk, const char *volume_id, BlockdevKind *ret, Error *err)
{
        int r = is_nvme_of_volume(disk, volume_id, err);
        if (r != 0) {
                *ret = BLOCKDEV_NVME;
                return r;
        }
        *ret = BLOCKDEV_LOOP;
        return is_loop_of_volume(disk, volume_id, err);
}

/* The state of one walk over /sys/block. */
typedef struct Search {
        const char *volume_id, *device_name;
        Blockdev device, xen;
        bool found, xen_found;
} Search;

static int search_disk(Search *search, const char *disk, Error *err)
{
        Blockdev device = {};
        BlockdevKind kind = _BLOCKDEV_KIND_INVALID;
        int r = claims_volume(disk, search->volume_id, &kind, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                if (!search->device_name || !is_xen_of_attachment(disk, search->device_name)) {
                        return 0;
                }
                r = blockdev_describe(disk, BLOCKDEV_XEN, &device, err);
                if (r > 0) {
                        search->xen = device;
                        search->xen_found = true;
                }
                return r;
        }
        r = blockdev_describe(disk, kind, &device, err);
        if (r <= 0) {
                return r;
        }
        if (search->found) {
                return error_set(err, ERROR_UNSAFE, ENOTUNIQ,
                                 "both %s and %s say that they are volume %s: expected one; detach "
                                 "the volume, or stop and start the instance",
                                 search->device.node, device.node, search->volume_id);
        }
        search->device = device;
        search->found = true;
        return 0;
}

int blockdev_find(const char *volume_id, const char *device_name, Blockdev *ret, Error *err)
{
        Search search = { .volume_id = volume_id, .device_name = device_name };
        _cleanup_free_ char *path = string_format("%s/block", sys_root);
        if (!path) {
                return error_oom(err);
        }
        _cleanup_(closedirp) DIR *dir = opendir(path);
        if (!dir) {
                return error_errno(err, errno, "open %s", path);
        }
        for (;;) {
                errno = 0;
                struct dirent *entry = readdir(dir);
                if (!entry && errno) {
                        return error_errno(err, errno, "read %s", path);
                }
                if (!entry) {
                        break;
                }
                int r = entry->d_name[0] == '.' ? 0 : search_disk(&search, entry->d_name, err);
                if (r < 0) {
                        return error_prefix(err, "find volume %s", volume_id);
                }
        }
        if (!search.found && !search.xen_found) {
                return 0;
        }
        *ret = search.found ? search.device : search.xen;
        (void) snprintf(ret->volume_id, sizeof(ret->volume_id), "%s", volume_id);
        return 1;
}

/* Opens a socket for the kernel's own messages about devices (udev(7) sends its copies to another
 * group). If it cannot be opened, polling is enough.
 * https://docs.kernel.org/core-api/kobject.html */
static int open_uevents(void)
{
        _cleanup_close_ int fd =
                socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                return -errno;
        }
        return TAKE_FD(fd);
}

static void drain(int fd)
{
        char message[4096];
        /* The messages' content is not used, so truncated or lost ones (ENOBUFS) do not matter. */
        while (recv(fd, message, sizeof(message), 0) > 0 || errno == ENOBUFS || errno == EINTR) {}
}

int blockdev_wait(const char *volume_id, const char *device_name, const Wait *wait, Blockdev *ret,
                  Error *err)
{
        _cleanup_close_ int events = open_uevents(); /* opened first, so that no event is missed */
        for (uint64_t pause_ms = POLL_FIRST_MS;;
             pause_ms = pause_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : pause_ms * 2) {
                int r = blockdev_find(volume_id, device_name, ret, err);
                if (r != 0) {
                        return r < 0 ? r : 0;
                }
                Wait part = wait_part(wait, pause_ms);
                r = wait_fd(&part, events, POLLIN, err); /* a negative fd just times out */
                if (r < 0) {
                        return error_prefix(err, "wait for the device of volume %s", volume_id);
                }
                if (r > 0) {
                        drain(events);
                }
                if (wait_left_ms(wait) == 0) {
                        return error_set(err, ERROR_RETRY, ETIMEDOUT,
                                         "no device of volume %s has appeared: EC2 calls it "
                                         "attached here as %s, and no disk in %s/block has its "
                                         "serial; does the kernel have the NVMe driver?",
                                         volume_id, isempty(device_name) ? "?" : device_name,
                                         sys_root);
                }
        }
}

int blockdev_verify(const Blockdev *device, Error *err)
{
        const char *disk = strrchr(device->node, '/');
        disk = disk ? disk + 1 : device->node;
        if (device->kind != BLOCKDEV_XEN) {
                BlockdevKind kind = _BLOCKDEV_KIND_INVALID;
                int r = claims_volume(disk, device->volume_id, &kind, err);
                if (r < 0) {
                        return r;
                }
                if (r == 0 || kind != device->kind) {
                        return error_set(err, ERROR_UNSAFE, ENODEV,
                                         "%s is no longer volume %s: nothing more is done to it",
                                         device->node, device->volume_id);
                }
        }
        Blockdev now = {};
        int r = blockdev_describe(disk, device->kind, &now, err);
        if (r < 0) {
                return r;
        }
        if (r == 0 || now.devnum != device->devnum || !streq(now.node, device->node)) {
                return error_set(err, ERROR_UNSAFE, ENODEV,
                                 "%s (%u:%u) of volume %s is gone or has become another device",
                                 device->node, major(device->devnum), minor(device->devnum),
                                 device->volume_id);
        }
        return 0;
}
