/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/wait.h"

#define BLOCKDEV_NODE_MAX      64
#define BLOCKDEV_VOLUME_ID_MAX 32

typedef enum BlockdevKind {
        BLOCKDEV_NVME, /* Nitro: the serial is the volume id without its hyphen */
        BLOCKDEV_XEN,  /* /dev/xvdX named after the attachment's device */
        BLOCKDEV_LOOP, /* a backing file named VOLUME-ID.img: rehearsals */
        _BLOCKDEV_KIND_MAX,
        _BLOCKDEV_KIND_INVALID = -EINVAL,
} BlockdevKind;

typedef struct Blockdev {
        char volume_id[BLOCKDEV_VOLUME_ID_MAX]; /* id of the EBS volume */
        BlockdevKind kind;
        char node[BLOCKDEV_NODE_MAX]; /* /dev/nvme1n1 */
        uint64_t devnum;              /* dev_t, compared again before each use */
        uint64_t size_bytes;
} Blockdev;

/* Finds the block device of the EBS volume `volume_id` ("vol-0123..."): by NVMe serial in sysfs
 * (with or without a hyphen), else by the backing file of a loop device, else, only on Xen, by
 * `device_name` as DescribeVolumes returns it ("/dev/sdf" -> xvdf). A device whose node does not
 * exist yet counts as not found. Two devices that both claim the id are ERROR_UNSAFE. Returns 1 and
 * fills *ret, or 0 if there is no such device (yet).
 * https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html */
int blockdev_find(const char *volume_id, const char *device_name, Blockdev *ret, Error *err);

/* Waits until blockdev_find() finds the device. Kernel uevents (netlink) wake the wait; a poll that
 * slows down to every 2 s finds devices that send no uevent. Returns 0 once found, or -ETIMEDOUT
 * (ERROR_RETRY) when the wait is over. */
int blockdev_wait(const char *volume_id, const char *device_name, const Wait *wait, Blockdev *ret,
                  Error *err);

/* Checks *device again, immediately before it is used: its node, its number and, except on Xen, its
 * volume id must be the same. If not, the error is ERROR_UNSAFE. */
int blockdev_verify(const Blockdev *device, Error *err);

/* Replaces /sys and /dev, for tests. The strings are borrowed. */
void blockdev_set_roots(const char *sys, const char *dev);
