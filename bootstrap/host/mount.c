/* SPDX-License-Identifier: Apache-2.0 */
#include "host/mount.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/effect.h"
#include "base/file.h"
#include "base/string.h"

DEFINE_CLEANUP(struct libmnt_context *, mnt_free_context);
DEFINE_CLEANUP(struct libmnt_table *, mnt_unref_table);

#define MOUNTINFO "/proc/self/mountinfo"

/* Resolves the links in the path, because the kernel's table has the resolved path. A path that
 * does not exist yet stays as it is. */
static int canonical(const char *path, char ret[PATH_MAX], Error *err)
{
        if (realpath(path, ret)) {
                return 0;
        }
        if (errno != ENOENT && errno != ENOTDIR) {
                return error_errno(err, errno, "resolve %s", path);
        }
        int n = snprintf(ret, PATH_MAX, "%s", path);
        return n < 0 || n >= PATH_MAX ? error_errno(err, ENAMETOOLONG, "resolve %s", path) : 0;
}

static int read_table(struct libmnt_table **ret, Error *err)
{
        errno = 0;
        struct libmnt_table *table = mnt_new_table_from_file(MOUNTINFO);
        if (!table) {
                return error_errno(err, errno ? errno : EIO, "read %s", MOUNTINFO);
        }
        *ret = table;
        return 0;
}

/* Returns the topmost mount at path, or NULL. It belongs to the table. */
static struct libmnt_fs *find_target(struct libmnt_table *table, const char *path)
{
        return mnt_table_find_target(table, path, MNT_ITER_BACKWARD);
}

int mount_look(const char *path, MountState *ret, Error *err)
{
        _cleanup_(mnt_unref_tablep) struct libmnt_table *table = NULL;
        char target[PATH_MAX];
        int r = canonical(path, target, err);
        if (r < 0) {
                return r;
        }
        r = read_table(&table, err);
        if (r < 0) {
                return r;
        }
        MountState state = {};
        struct libmnt_fs *fs = find_target(table, target);
        if (fs) {
                const char *source = mnt_fs_get_source(fs), *type = mnt_fs_get_fstype(fs);
                state.mounted = true;
                (void) snprintf(state.source, sizeof(state.source), "%s", strempty(source));
                (void) snprintf(state.type, sizeof(state.type), "%s", strempty(type));
                state.devnum = mnt_fs_get_devno(fs);
                /* Either this mount or the whole filesystem may be read-only. */
                state.read_only =
                        mnt_fs_get_option(fs, "ro", NULL, NULL) == 0 ||
                        mnt_optstr_get_option(mnt_fs_get_fs_options(fs), "ro", NULL, NULL) == 0;
        }
        *ret = state;
        return 0;
}

/* Writes where else the device is mounted, for a message: " (it is mounted at X)" or "". */
static void tell_other_mount(const char *node, char *ret, size_t size)
{
        ret[0] = '\0';
        struct libmnt_table *table = NULL;
        if (read_table(&table, ERROR_IGNORED) < 0) {
                return; /* the mount's own failure is the one to report */
        }
        struct libmnt_fs *fs = mnt_table_find_srcpath(table, node, MNT_ITER_BACKWARD);
        if (fs) {
                (void) snprintf(ret, size, " (it is mounted at %s)", mnt_fs_get_target(fs));
        }
        mnt_unref_table(table);
}

static const char *hint(int error)
{
        switch (error) {
        case EINVAL:
        case EUCLEAN:
        case EBADMSG:
                return ": bad superblock or options, see dmesg";
        case ENODEV:
                return ": the kernel has no such filesystem";
        default:
                return "";
        }
}

/* Returns the errno of mount(2), or 0. r is the result of mnt_context_mount(), which may also fail
 * before the system call. */
static int mount_errno(struct libmnt_context *context, int r)
{
        if (r == 0 && mnt_context_get_status(context) == 1) {
                return 0;
        }
        if (mnt_context_syscall_called(context) && mnt_context_get_syscall_errno(context)) {
                return mnt_context_get_syscall_errno(context);
        }
        return r < 0 ? -r : EIO;
}

/* Makes one mount(2) call through libmount. Returns 0 or a negative errno. *err is filled, except
 * for -EINVAL with `try`. */
static int mount_once(const char *source, const char *type, const char *options, const char *path,
                      bool try, Error *err)
{
        _cleanup_(mnt_free_contextp) struct libmnt_context *context = mnt_new_context();
        if (!context) {
                return error_oom(err);
        }
        if (mnt_context_set_source(context, source) < 0 ||
            mnt_context_set_fstype(context, type) < 0 ||
            mnt_context_set_options(context, options) < 0 ||
            mnt_context_set_target(context, path) < 0) {
                return error_oom(err);
        }
        (void) mnt_context_disable_helpers(context, 1); /* fails for a NULL context only */
        (void) mnt_context_disable_mtab(context, 1);
        Effect effect = effect_before("mount", path);
        int error = mount_errno(context, mnt_context_mount(context));
        effect_after(&effect, -error, NULL);
        if (error == 0) {
                return 0;
        }
        if (try && error == EINVAL) {
                return -EINVAL;
        }
        char other[PATH_MAX + 32] = "";
        if (error == EBUSY) {
                tell_other_mount(source, other, sizeof(other));
        }
        return error_errno(err, error, "mount %s (%s, %s) at %s%s%s", source, type, options, path,
                           other, hint(error));
}

static int make_mount_point(const char *path, Error *err)
{
        return access(path, F_OK) == 0 ? 0 : file_make_directory(path, 0700, err);
}

int mount_device(const char *node, const char *type, const char *options, const char *path,
                 Error *err)
{
        int r = make_mount_point(path, err);
        if (r < 0) {
                return r;
        }
        return mount_once(node, type, options, path, false, err);
}

/* Returns true if the mount or its filesystem has the option, with that value (NULL: any). */
static bool has_option(struct libmnt_fs *fs, const char *name, const char *value)
{
        char *found = NULL;
        size_t n = 0;
        if (mnt_fs_get_option(fs, name, &found, &n) != 0) {
                return false;
        }
        return !value || (found && strlen(value) == n && strncmp(found, value, n) == 0);
}

/* Returns 1 if the tmpfs is mounted as it should be, else 0. The mode is read from the folder,
 * because the mount option always shows the mode of the first mount. */
static int is_secret_tmpfs(struct libmnt_fs *fs, const char *path, uint64_t size_bytes, Error *err)
{
        char size[32];
        struct stat st;
        if (stat(path, &st) < 0) {
                return error_errno(err, errno, "stat %s", path);
        }
        (void) snprintf(size, sizeof(size), "%lluk", (unsigned long long) size_bytes / 1024);
        return (st.st_mode & 07777) == 0700 && has_option(fs, "nodev", NULL) &&
               has_option(fs, "nosuid", NULL) && has_option(fs, "noexec", NULL) &&
               has_option(fs, "size", size);
}

static int mount_new_tmpfs(const char *options, const char *path, Error *err)
{
        char without_swap[160];
        (void) snprintf(without_swap, sizeof(without_swap), "%s,noswap", options);
        int r = mount_once("kube-bootstrap", "tmpfs", without_swap, path, true, err);
        /* A kernel before 6.4 does not know noswap. The image has no swap either way. */
        return r == -EINVAL ? mount_once("kube-bootstrap", "tmpfs", options, path, false, err) : r;
}

static int remount_tmpfs(const char *options, const char *path, Error *err)
{
        char again[160];
        (void) snprintf(again, sizeof(again), "remount,%s", options);
        int r = mount_once("kube-bootstrap", "tmpfs", again, path, false, err);
        return r < 0 ? r : file_make_directory(path, 0700, err); /* remounting keeps the mode */
}

int mount_tmpfs(const char *path, uint64_t size_bytes, Error *err)
{
        /* The kernel rounds the size up to whole pages, so the comparison must do the same. */
        uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);
        size_bytes = (size_bytes + page - 1) / page * page;
        _cleanup_(mnt_unref_tablep) struct libmnt_table *table = NULL;
        char target[PATH_MAX], options[128];
        int r = make_mount_point(path, err);
        if (r < 0) {
                return r;
        }
        r = canonical(path, target, err);
        if (r < 0) {
                return r;
        }
        r = read_table(&table, err);
        if (r < 0) {
                return r;
        }
        (void) snprintf(options, sizeof(options), "nodev,nosuid,noexec,mode=0700,size=%llu",
                        (unsigned long long) size_bytes);
        struct libmnt_fs *fs = find_target(table, target);
        if (!fs) {
                r = mount_new_tmpfs(options, target, err);
                return r < 0 ? r : 1;
        }
        if (!streq(mnt_fs_get_fstype(fs), "tmpfs")) {
                return error_set(err, ERROR_CONFIG, EBUSY,
                                 "%s is a %s mount of %s: expected a tmpfs or nothing; unmount it",
                                 path, mnt_fs_get_fstype(fs), mnt_fs_get_source(fs));
        }
        r = is_secret_tmpfs(fs, target, size_bytes, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        r = remount_tmpfs(options, target, err);
        return r < 0 ? r : 1;
}
