/* SPDX-License-Identifier: Apache-2.0 */
#include "loop_volume.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "host/process.h"

char volume_id[32];
char image[128], loop[64];

bool command(Buffer *output, const char *const *argv)
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

void detach(void)
{
        (void) umount2(MASTER_MOUNT_POINT, MNT_DETACH); /* there may be none */
        if (loop[0]) {
                CHECK(COMMAND(NULL, "/sbin/losetup", "--detach", loop));
                loop[0] = '\0';
        }
}

bool fresh(unsigned mib)
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

bool volumes_are_possible(void)
{
        uint64_t number;
        bool possible = getentropy(&number, sizeof(number)) == 0 && unshare(CLONE_NEWNS) == 0 &&
                        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                        mount("none", "/var/lib", "tmpfs", 0, NULL) == 0;
        (void) snprintf(volume_id, sizeof(volume_id), "vol-0%016" PRIx64, number);
        return possible && fresh(128);
}
