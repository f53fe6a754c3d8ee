/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "base/string.h"
#include "host/filesystem.h"
#include "host/mount.h"
#include "steps/boot.h"

/* volume-mount: checks the filesystem, mounts it and grows it to its device. */

#define MOUNT_OPTIONS "nodev,nosuid,noexec,noatime"

/* Returns 1 if our volume is mounted there, 0 if nothing is. Another mount is ERROR_UNSAFE, a
 * read-only one ERROR_FATAL. */
static int look_at_mount(const Boot *boot, Error *err)
{
        MountState state;
        int r = mount_look(MASTER_MOUNT_POINT, &state, err);
        if (r < 0 || !state.mounted) {
                return r < 0 ? r : 0;
        }
        if (state.devnum != boot->volume.devnum) {
                return error_set(err, ERROR_UNSAFE, EBUSY,
                                 "%s is a mount of %s (%u:%u): expected volume %s, %s (%u:%u), or "
                                 "nothing. Find out whose data that is, unmount it, and run "
                                 "kube-bootstrap again",
                                 MASTER_MOUNT_POINT, state.source, major(state.devnum),
                                 minor(state.devnum), boot->config.master_volume_id,
                                 boot->volume.node, major(boot->volume.devnum),
                                 minor(boot->volume.devnum));
        }
        if (state.read_only) {
                return error_set(err, ERROR_FATAL, EROFS,
                                 "volume %s is mounted at %s read-only: the kernel does that after "
                                 "an error (see dmesg). Reboot: it is checked before it is "
                                 "mounted again",
                                 boot->config.master_volume_id, MASTER_MOUNT_POINT);
        }
        return 1;
}

/* Returns 1 if the filesystem is to be grown. After a failure only another size is tried: a smaller
 * filesystem than its disk is no reason to have no master. */
static int can_grow(const Boot *boot, uint64_t *ret_device_bytes, Error *err)
{
        int r = filesystem_can_grow(&boot->volume, ret_device_bytes, err);
        return r > 0 && *ret_device_bytes == boot->memory.refused_size ? 0 : r;
}

int volume_mount_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        int r = look_at_mount(boot, err);
        if (r == 0) {
                step_not_yet(context, "nothing is mounted at " MASTER_MOUNT_POINT);
        }
        if (r <= 0) {
                return r;
        }
        /* The volume may have been detached while it is mounted: then another instance may be the
         * master by now. */
        r = blockdev_verify(&boot->volume, err);
        if (r < 0) {
                return r;
        }
        uint64_t device_bytes;
        r = can_grow(boot, &device_bytes, err);
        if (r > 0) {
                step_not_yet(context, "the filesystem is smaller than its disk, %s",
                             boot->volume.node);
        }
        return r < 0 ? r : !r;
}

static int check_and_mount(Boot *boot, StepContext *context, Error *err)
{
        const char *id = boot->volume.volume_id;
        int r = blockdev_verify(&boot->volume, err);
        if (r < 0) {
                return r;
        }
        step_waiting_for(context, "e2fsck of %s (volume %s)", boot->volume.node, id);
        r = filesystem_check(&boot->volume, step_wait(context), err);
        if (r < 0) {
                return error_prefix(err, "volume %s", id);
        }
        step_waiting_for(context, NULL);
        r = blockdev_verify(&boot->volume, err);
        if (r < 0) {
                return r;
        }
        r = mount_device(boot->volume.node, "ext4", MOUNT_OPTIONS, MASTER_MOUNT_POINT, err);
        if (r < 0) {
                return error_prefix(err, "volume %s", id);
        }
        r = look_at_mount(boot, err);
        if (r == 0) {
                return error_set(err, ERROR_RETRY, EIO, "%s is no longer mounted",
                                 MASTER_MOUNT_POINT);
        }
        return r < 0 ? r : 0;
}

int volume_mount_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        int r = look_at_mount(boot, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                r = check_and_mount(boot, context, err);
                if (r < 0) {
                        return r;
                }
        }
        uint64_t device_bytes;
        r = can_grow(boot, &device_bytes, err);
        if (r <= 0) {
                return r;
        }
        step_waiting_for(context, "resize2fs of %s (volume %s)", boot->volume.node,
                         boot->volume.volume_id);
        Error failed = {};
        r = filesystem_grow(&boot->volume, step_wait(context), &failed);
        if (r == -ECANCELED) {
                *err = failed;
                return r;
        }
        if (r < 0) {
                boot->memory.refused_size = device_bytes;
                step_warn(context, "volume %s stays smaller than its disk: %s",
                          boot->config.master_volume_id, failed.message);
        }
        return 0;
}
