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
        char volume_id[BLOCKDEV_VOLUME_ID_MAX]; /* the EBS volume that it is */
        BlockdevKind kind;
        char node[BLOCKDEV_NODE_MAX]; /* /dev/nvme1n1 */
        uint64_t devnum;              /* dev_t, compared again before each use */
        uint64_t size_bytes;
} Blockdev;

/* Finds the block device that is the EBS volume `volume_id` ("vol-0123..."): by NVMe serial in
 * sysfs (with and without a hyphen), else by backing file of a loop device, else, only on Xen, by
 * `device_name` as DescribeVolumes says ("/dev/sdf" -> xvdf). A node that does not exist yet is
 * "not found". Two devices that both claim the id are ERROR_UNSAFE. Returns 1 and fills *ret; 0 if
 * there is none (yet). https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html */
int blockdev_find(const char *volume_id, const char *device_name, Blockdev *ret, Error *err);

/* Like blockdev_find(), waiting for it: kernel uevents wake it (netlink), and a poll that slows
 * down to 2 s covers what sends none. 0 once found; -ETIMEDOUT (ERROR_RETRY) when the wait is over.
 */
int blockdev_wait(const char *volume_id, const char *device_name, const Wait *wait, Blockdev *ret,
                  Error *err);

/* Looks again at the identity of *device, immediately before it is used: still the same node,
 * number and volume id. ERROR_UNSAFE if not. */
int blockdev_verify(const Blockdev *device, Error *err);

/* Other places than /sys and /dev, for tests. The strings are borrowed. */
void blockdev_set_roots(const char *sys, const char *dev);
