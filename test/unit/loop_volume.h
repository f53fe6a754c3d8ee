/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A volume that is a loop device, in a mount namespace of the test's own: needs root. */

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bucket_world.h"
#include "host/process.h"

#define MIB (UINT64_C(1) << 20)

static char volume_id[32]; /* of this run alone: two disks that both say they are it are refused */
static char image[128], loop[64];

static inline bool command(Buffer *output, const char *const *argv)
{
        _cleanup_process_result_ ProcessResult result = {};
        Error err = {};
        Wait wait = test_patience();
        int r = process_run_checked(&(ProcessOptions) { .argv = argv }, &wait, &result, &err);
        if (r >= 0 && output && result.output.size > 0) {
                r = buffer_append(output, result.output.data, result.output.size);
        }
        return r >= 0;
}

#define COMMAND(output, ...) command((output), (const char *const[]) { __VA_ARGS__, NULL })

static inline void detach(void)
{
        (void) umount2(MASTER_MOUNT_POINT, MNT_DETACH); /* there may be none */
        if (loop[0]) {
                CHECK(COMMAND(NULL, "/sbin/losetup", "--detach", loop));
                loop[0] = '\0';
        }
}

/* A volume of so many MiB, all zero, attached, of which the bucket knows nothing. False: there are
 * no loop devices here. */
static inline bool fresh(unsigned mib)
{
        static char cluster[] = "test";
        _cleanup_buffer_ Buffer name = {};
        Error err = {};
        detach();
        bucket_clear();
        /* in memory, where a flush costs nothing */
        (void) snprintf(image, sizeof(image), "/var/lib/%s.img", volume_id);
        (void) unlink(image);
        int fd = open(image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, (off_t) (mib * MIB)) < 0 || close(fd) < 0 ||
            !COMMAND(&name, "/sbin/losetup", "--find", "--show", image)) {
                return false;
        }
        (void) snprintf(loop, sizeof(loop), "%s", string_strip_end(name.data));
        boot.config.master_volume_id = volume_id;
        boot.config.cluster_name = cluster;
        return blockdev_find(volume_id, NULL, &boot.volume, &err) == 1;
}

/* Whether volumes can be had here; called once, first. */
static inline bool volumes_are_possible(void)
{
        uint64_t number;
        bool possible = getentropy(&number, sizeof(number)) == 0 && unshare(CLONE_NEWNS) == 0 &&
                        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                        mount("none", "/var/lib", "tmpfs", 0, NULL) == 0;
        (void) snprintf(volume_id, sizeof(volume_id), "vol-0%016" PRIx64, number);
        return possible && fresh(128);
}
