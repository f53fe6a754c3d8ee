/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "harness.h"
#include "host/mount.h"

/* In a mount namespace of the test's own, which needs root. */

#define MIB (UINT64_C(1) << 20)

static void path_of(char ret[128], const char *name)
{
        (void) snprintf(ret, 128, "%s/%s", test_folder(), name);
}

static void looks(void)
{
        char path[128];
        MountState state;
        Error err = {};
        path_of(path, "not-there");
        CHECK_OK(mount_look(path, &state, &err), err);
        CHECK(!state.mounted);
        CHECK_OK(mount_look("/proc", &state, &err), err);
        CHECK(state.mounted && !state.read_only);
        CHECK_STR(state.type, "proc");
        struct stat st;
        CHECK(stat("/proc", &st) == 0 && st.st_dev == state.devnum);
        CHECK_OK(mount_look("/proc/self/", &state, &err),
                 err); /* a folder below is no mount point */
        CHECK(!state.mounted);
        CHECK_OK(mount_look("/proc/1/../", &state, &err), err); /* the same place otherwise said */
        CHECK_STR(state.type, "proc");
}

static void tmpfs_once(void)
{
        char path[128];
        MountState state;
        Error err = {};
        struct statvfs st;
        struct stat folder;
        path_of(path, "a/secrets");
        CHECK_INT(mount_tmpfs(path, 16 * MIB, &err), 1);
        CHECK_INT(mount_tmpfs(path, 16 * MIB, &err), 0);
        CHECK_OK(mount_look(path, &state, &err), err);
        CHECK_STR(state.type, "tmpfs");
        CHECK(stat(path, &folder) == 0 && (folder.st_mode & 07777) == 0700);
        CHECK(statvfs(path, &st) == 0);
        CHECK_INT(st.f_flag & (ST_NODEV | ST_NOSUID | ST_NOEXEC), ST_NODEV | ST_NOSUID | ST_NOEXEC);
        CHECK_INT(st.f_blocks * st.f_frsize, 16 * MIB);
        CHECK(umount(path) == 0);
        CHECK_OK(mount_look(path, &state, &err), err);
        CHECK(!state.mounted); /* there was one */
}

/* The kernel shows the option; one older than 6.4 does not know it. */
static void tmpfs_keeps_off_swap(void)
{
        char path[128], line[160];
        Error err = {};
        path_of(path, "in-memory");
        bool knows = mount("x", "/mnt", "tmpfs", 0, "noswap") == 0;
        if (knows) {
                CHECK(umount("/mnt") == 0);
        }
        CHECK_INT(mount_tmpfs(path, MIB, &err), 1);
        _cleanup_buffer_ Buffer table = {};
        CHECK_OK(file_read("/proc/self/mountinfo", 1 << 20, &table, &err), err);
        (void) snprintf(line, sizeof(line), " %s ", path);
        char *here = strstr(table.data, line);
        REQUIRE(here);
        here[strcspn(here, "\n")] = '\0';
        CHECK_INT(strstr(here, ",noswap") != NULL, knows);
        CHECK(umount(path) == 0);
}

static void tmpfs_mended(void)
{
        char path[128];
        Error err = {};
        struct statvfs st;
        path_of(path, "other-options");
        CHECK_OK(file_make_directory(path, 0755, &err), err);
        CHECK(mount("x", path, "tmpfs", MS_NOSUID, "size=1m,mode=0755") == 0);
        char file[160];
        (void) snprintf(file, sizeof(file), "%s/kept", path);
        CHECK_OK(file_write(file, "x", 1, 0600, &err), err);
        CHECK_INT(mount_tmpfs(path, 8 * MIB + 1, &err), 1); /* the kernel rounds up to pages */
        CHECK_INT(mount_tmpfs(path, 8 * MIB + 1, &err), 0);
        CHECK(statvfs(path, &st) == 0);
        CHECK_INT(st.f_flag & (ST_NODEV | ST_NOSUID | ST_NOEXEC), ST_NODEV | ST_NOSUID | ST_NOEXEC);
        struct stat folder;
        CHECK(stat(path, &folder) == 0 && (folder.st_mode & 07777) == 0700);
        CHECK(access(file, F_OK) == 0);
        CHECK(umount(path) == 0);
}

static void tmpfs_over_another(void)
{
        char path[128];
        Error err = {};
        path_of(path, "busy");
        CHECK_OK(file_make_directory(path, 0755, &err), err);
        CHECK(mount("/proc", path, NULL, MS_BIND, NULL) == 0);
        CHECK(mount_tmpfs(path, MIB, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, path);
        CHECK_CONTAINS(err.message, "proc");
        CHECK(umount(path) == 0);
}

static void topmost(void)
{
        char path[128];
        MountState state;
        Error err = {};
        path_of(path, "stack");
        CHECK_OK(file_make_directory(path, 0755, &err), err);
        CHECK(mount("below", path, "tmpfs", 0, NULL) == 0);
        CHECK(mount("above", path, "tmpfs", MS_RDONLY, NULL) == 0);
        CHECK_OK(mount_look(path, &state, &err), err);
        CHECK_STR(state.source, "above");
        CHECK(state.read_only);
        CHECK(umount(path) == 0);
        CHECK_OK(mount_look(path, &state, &err), err);
        CHECK_STR(state.source, "below");
        CHECK(!state.read_only);
        CHECK(umount(path) == 0);
}

static void device_failures(void)
{
        char path[128], image[128];
        Error err = {};
        path_of(path, "volume/mnt");
        CHECK(mount_device("/dev/does-not-exist", "ext4", "nodev", path, &err) < 0);
        CHECK_CONTAINS(err.message, "/dev/does-not-exist");
        CHECK_CONTAINS(err.message, path);
        struct stat st;
        CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700);
        path_of(image, "image"); /* no block device */
        CHECK_OK(file_write(image, "x", 1, 0600, &err), err);
        CHECK(mount_device(image, "ext4", "nodev", path, &err) < 0);
        CHECK(mount_device("none", "nonsensefs", "nodev", path, &err) < 0);
        CHECK_CONTAINS(err.message, "no such filesystem");
        CHECK(mount_device("none", "tmpfs", "nonsense=1", path, &err) < 0);
        CHECK_CONTAINS(err.message, "bad superblock or options");
}

int main(void)
{
        static const struct {
                const char *name;
                void (*function)(void);
        } cases[] = {
                { "what is mounted is seen, and what is not", looks },
                { "a tmpfs for secrets is mounted once, with its options", tmpfs_once },
                { "a tmpfs for secrets keeps off the swap where the kernel can",
                  tmpfs_keeps_off_swap },
                { "a tmpfs with other options is remounted, its files kept", tmpfs_mended },
                { "another filesystem at its place is named and left alone", tmpfs_over_another },
                { "of several mounts the topmost counts", topmost },
                { "a failed mount says what failed", device_failures },
        };
        bool inside = unshare(CLONE_NEWNS) == 0 &&
                      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                if (inside) {
                        test_case(cases[i].name, cases[i].function);
                } else {
                        test_skip(cases[i].name, "a mount namespace needs root");
                }
        }
        return test_done();
}
