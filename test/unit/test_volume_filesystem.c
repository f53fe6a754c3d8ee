/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "host/filesystem.h"
#include "host/mount.h"
#include "loop_volume.h"

/* volume-format and volume-mount, run by the engine on a loop device; what decides whether a volume
 * is formatted is in test_volume_format. */

static char *respond(const char *request, unsigned number)
{
        (void) number;
        return bucket_answer(request); /* EC2 is not asked */
}

/* Both rows, the second needing the first. */
static int run(MachineMode mode, MachineStatus *status, Error *err)
{
        const Step steps[] = {
                { .name = "volume-format",
                  .makes_true = "format",
                  .runs_on = KIND_MASTER,
                  .probe = volume_format_probe,
                  .apply = volume_format_apply,
                  .deadline_s = 60,
                  .destroys_data = true },
                { .name = "volume-mount",
                  .makes_true = "mount",
                  .runs_on = KIND_MASTER,
                  .needs = STEP_MASK(0),
                  .probe = volume_mount_probe,
                  .apply = volume_mount_apply,
                  .retry = { .first_ms = 50, .max_ms = 200 },
                  .deadline_s = 60 },
        };
        return run_rows(steps, ELEMENTS(steps), mode, status, err);
}

static void from_blank_to_mounted(void)
{
        MachineStatus status;
        MountState state;
        struct statvfs st;
        Error err;
        REQUIRE(fresh(128));
        CHECK(run(MACHINE_PLAN, &status, &err) <= 0);
        CHECK_INT(status.steps[0].state, STEP_WOULD_APPLY);
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK_OK(mount_look(MASTER_MOUNT_POINT, &state, &err), err);
        CHECK_STR(state.source, loop);
        CHECK_STR(state.type, "ext4");
        CHECK_INT(state.devnum, boot.volume.devnum);
        CHECK(statvfs(MASTER_MOUNT_POINT, &st) == 0);
        CHECK_INT(st.f_flag & (ST_NODEV | ST_NOSUID | ST_NOEXEC | ST_RDONLY),
                  ST_NODEV | ST_NOSUID | ST_NOEXEC);
        CHECK_OK(file_write(MASTER_MOUNT_POINT "/kept", "x", 1, 0600, &err), err);

        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err); /* again: nothing to do */
        CHECK_INT(status.steps[0].attempts, 0);
        CHECK_INT(status.steps[1].attempts, 0);

        CHECK(umount(MASTER_MOUNT_POINT) == 0); /* a reboot */
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK_INT(status.steps[0].attempts, 0);
        CHECK_INT(status.steps[1].attempts, 1);
        CHECK(access(MASTER_MOUNT_POINT "/kept", F_OK) == 0);
}

static void another_cluster_is_foreign(void)
{
        static char other[] = "another";
        MachineStatus status;
        MountState state;
        Error err;
        REQUIRE(fresh(128));
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK(umount(MASTER_MOUNT_POINT) == 0);
        boot.config.cluster_name = other;
        CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);
        CHECK_CONTAINS(err.message, volume_id);
        CHECK_CONTAINS(err.message, loop);
        CHECK_CONTAINS(err.message, "ext4 labelled \"kb-");
        CHECK_CONTAINS(err.message, "CLUSTER_NAME another");
        CHECK_CONTAINS(err.message, "Nothing was written");
        CHECK_CONTAINS(err.message, "MASTER_VOLUME_ID in " STACK_CONFIG_PATH);
        CHECK_CONTAINS(err.message, "run kube-bootstrap again"); /* the end is not cut */
        CHECK_OK(mount_look(MASTER_MOUNT_POINT, &state, &err), err);
        CHECK(!state.mounted);
}

static void another_mount_is_left_alone(void)
{
        MachineStatus status;
        Error err;
        REQUIRE(fresh(128));
        CHECK_OK(file_make_directory(MASTER_MOUNT_POINT, 0700, &err), err);
        CHECK(mount("else", MASTER_MOUNT_POINT, "tmpfs", 0, NULL) == 0);
        CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);
        CHECK_CONTAINS(err.message, "a mount of else");
        CHECK_CONTAINS(err.message, volume_id);
        CHECK(umount(MASTER_MOUNT_POINT) == 0);
}

static void read_only_is_told(void)
{
        MachineStatus status;
        Error err;
        REQUIRE(fresh(128));
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK(mount(NULL, MASTER_MOUNT_POINT, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
        CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_FATAL);
        CHECK_CONTAINS(err.message, "read-only");
}

/* The disk goes while it is mounted: another may be the master. */
static void gone_under_the_mount(void)
{
        char empty[128];
        Error err = {};
        MachineStatus status;
        REQUIRE(fresh(128));
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        (void) snprintf(empty, sizeof(empty), "%s/block", test_folder());
        CHECK_OK(file_make_directory(empty, 0755, &err), err);
        blockdev_set_roots(test_folder(), "/dev");
        CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);
        _cleanup_free_ char *said = string_format("no longer volume %s", volume_id);
        CHECK_CONTAINS(err.message, said ? said : "(no memory)");
        blockdev_set_roots("/sys", "/dev");
}

/* Where the kernel refuses to grow it, as without CAP_SYS_RESOURCE, that is a warning. */
static void larger_disk(void)
{
        MachineStatus status;
        struct statvfs st;
        Error err;
        REQUIRE(fresh(128));
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK(truncate(image, (off_t) (512 * MIB)) == 0);
        CHECK(COMMAND(NULL, "/sbin/losetup", "--set-capacity", loop));
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK_INT(status.steps[1].attempts, 1);
        CHECK(statvfs(MASTER_MOUNT_POINT, &st) == 0);
        if (status.steps[1].warning[0]) {
                CHECK_CONTAINS(status.steps[1].warning, "stays smaller than its disk");
                CHECK(st.f_blocks * st.f_frsize < 128 * MIB);
        } else {
                CHECK(st.f_blocks * st.f_frsize > 400 * MIB);
        }
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err); /* grown, or not tried for ever */
        CHECK_INT(status.steps[1].attempts, 0);
}

static void errors_left_stop(void)
{
        MachineStatus status;
        MountState state;
        Error err;
        REQUIRE(fresh(128));
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK(umount(MASTER_MOUNT_POINT) == 0);
        CHECK(COMMAND(NULL, "/sbin/debugfs", "-w", "-R", "clri <2>", loop)); /* the root folder */
        CHECK(COMMAND(NULL, "/sbin/debugfs", "-w", "-R", "ssv state 0", loop));
        CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);
        CHECK_CONTAINS(err.message, volume_id);
        CHECK_CONTAINS(err.message, "e2fsck");
        CHECK_CONTAINS(err.message, "take a snapshot");
        CHECK_OK(mount_look(MASTER_MOUNT_POINT, &state, &err), err);
        CHECK(!state.mounted);
}

/* A newer e2fsprogs has made it: each kind of feature that this one does not know. */
static void unknown_features_are_named(void)
{
        static const char *const features[] = { "feature FEATURE_R17", "feature FEATURE_I19",
                                                "feature FEATURE_C15" };
        FOREACH_ARRAY(feature, features, ELEMENTS(features)) {
                MachineStatus status;
                MountState state;
                Error err;
                REQUIRE(fresh(128));
                CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
                CHECK(umount(MASTER_MOUNT_POINT) == 0);
                CHECK(COMMAND(NULL, "/sbin/debugfs", "-w", "-R", *feature, loop));
                CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
                CHECK_STR(error_class_to_string(err.class), "config"); /* not tried for ever */
                CHECK_CONTAINS(err.message, "a newer one made or changed it");
                CHECK_CONTAINS(err.message, "unsupported feature");
                CHECK_CONTAINS(err.message, "Get a newer version of e2fsck"); /* both streams */
                CHECK_INT(status.steps[1].attempts, 1);
                CHECK_OK(mount_look(MASTER_MOUNT_POINT, &state, &err), err);
                CHECK(!state.mounted);
        }
}

/* A filesystem of the loop device's own label and UUID. */
#define LABEL "kb-0123456789ab"
#define UUID  "6f0c4a9d-2c4e-4b0f-a5d0-a8b8f3a0c101"
static const FormatOrder order = { .label = LABEL, .uuid = UUID };

#define SUPER_OFFSET 1024

static DiskContent content(void)
{
        Error err = {};
        Wait wait = test_wait(60);
        DiskProbe probe = {};
        CHECK_OK(filesystem_probe(&boot.volume, LABEL, &wait, &probe, &err), err);
        return probe.content;
}

/* Whatever the machine's defaults: what the probe relies on is asked for. */
static void made_with_a_checksum(void)
{
        static const char defaults[] =
                "[fs_types]\n ext4 = {\n  features = has_journal,extent\n }\n";
        char path[128];
        Error err = {};
        Wait wait = test_wait(60);
        (void) snprintf(path, sizeof(path), "%s/mke2fs.conf", test_folder());
        CHECK_OK(file_write(path, defaults, strlen(defaults), 0644, &err), err);
        REQUIRE(fresh(64));
        REQUIRE(mount(path, "/etc/mke2fs.conf", NULL, MS_BIND, NULL) == 0);
        CHECK_OK(filesystem_format(&boot.volume, &order, &wait, &err), err);
        CHECK(umount("/etc/mke2fs.conf") == 0);
        CHECK_INT(content(), DISK_OURS);
}

/* The kernel changes the superblock of a mounted filesystem in the page cache, field by field. */
static void mounted_is_not_damaged(void)
{
        Error err = {};
        Wait wait = test_wait(60);
        REQUIRE(fresh(128));
        CHECK_OK(filesystem_format(&boot.volume, &order, &wait, &err), err);
        CHECK_OK(file_make_directory(MASTER_MOUNT_POINT, 0700, &err), err);
        CHECK(mount(loop, MASTER_MOUNT_POINT, "ext4", 0, NULL) == 0);
        int fd = open(loop, O_RDWR | O_CLOEXEC);
        char half;
        CHECK(fd >= 0 && pread(fd, &half, 1, SUPER_OFFSET) == 1);
        half = (char) ~half;
        CHECK(pwrite(fd, &half, 1, SUPER_OFFSET) == 1);
        CHECK_INT(content(), DISK_OURS);
        half = (char) ~half;
        CHECK(pwrite(fd, &half, 1, SUPER_OFFSET) == 1);
        (void) close(fd);
        CHECK(umount(MASTER_MOUNT_POINT) == 0);
        CHECK_INT(content(), DISK_OURS); /* and the kernel's own changes keep the checksum */
}

/* No retry mends it, and a person needs the command that can. */
static void damaged_superblock_is_told(void)
{
        MachineStatus status;
        MountState state;
        Error err;
        REQUIRE(fresh(256));
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK(umount(MASTER_MOUNT_POINT) == 0);
        int fd = open(loop, O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && pwrite(fd, "\xa5", 1, 1024 + 0x16e) == 1 && fsync(fd) == 0);
        (void) close(fd);
        CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_STR(error_class_to_string(err.class), "unsafe");
        CHECK_CONTAINS(err.message, "with a damaged superblock");
        CHECK_CONTAINS(err.message, "Nothing was written");
        _cleanup_free_ char *advice = string_format("take a snapshot of the volume, run e2fsck -b "
                                                    "32768 -B 4096 %s,",
                                                    loop);
        CHECK_CONTAINS(err.message, advice ? advice : "(no memory)");
        CHECK_CONTAINS(err.message, "run kube-bootstrap again"); /* the end is not cut */
        Wait wait = test_wait(60);
        CHECK(filesystem_check(&boot.volume, &wait, &err) <
              0); /* were it damaged since the probe */
        CHECK_STR(error_class_to_string(err.class), "unsafe");
        CHECK_CONTAINS(err.message, "superblock is damaged");
        CHECK_CONTAINS(err.message, advice ? advice : "(no memory)");
        CHECK_OK(mount_look(MASTER_MOUNT_POINT, &state, &err), err);
        CHECK(!state.mounted);
        /* the advice works: 1, errors were corrected */
        CHECK(!COMMAND(NULL, "/sbin/e2fsck", "-y", "-b", "32768", "-B", "4096", loop));
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
}

int main(void)
{
        static const struct {
                const char *name;
                void (*function)(void);
        } cases[] = {
                { "a blank volume is formatted and mounted, once", from_blank_to_mounted },
                { "another cluster's volume is refused by its name", another_cluster_is_foreign },
                { "another mount at its place is left alone", another_mount_is_left_alone },
                { "a filesystem that became read-only is told", read_only_is_told },
                { "a disk that is gone under its mount is unsafe", gone_under_the_mount },
                { "a larger disk is grown into, or a warning", larger_disk },
                { "errors that e2fsck leaves stop before the mount", errors_left_stop },
                { "features that e2fsck does not know are named", unknown_features_are_named },
                { "a damaged superblock is told, with what mends it", damaged_superblock_is_told },
                { "a filesystem is made with a checksum", made_with_a_checksum },
                { "a mounted filesystem's superblock is not damaged", mounted_is_not_damaged },
        };
        start_world_with_bucket();
        server_reset(&server, respond);
        bool inside = volumes_are_possible();
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                if (inside) {
                        test_case(cases[i].name, cases[i].function);
                } else {
                        test_skip(cases[i].name, "needs root and loop devices");
                }
        }
        detach();
        return test_done();
}
