/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/effect.h"
#include "base/random.h"

int file_read(const char *path, size_t max_bytes, Buffer *ret, Error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) {
                return error_errno(err, errno, "open %s", path);
        }
        char chunk[4096];
        size_t total = 0;
        for (;;) {
                ssize_t n = read(fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR) {
                        continue;
                }
                if (n < 0) {
                        return error_errno(err, errno, "read %s", path);
                }
                if (n == 0) {
                        break;
                }
                total += (size_t) n;
                if (total > max_bytes) {
                        return error_set(err, ERROR_CONFIG, EFBIG, "%s is larger than %zu bytes",
                                         path, max_bytes);
                }
                int r = buffer_append(ret, chunk, (size_t) n);
                if (r < 0) {
                        return error_errno(err, r, "read %s", path);
                }
        }
        if (ret->wipe) {
                explicit_bzero(chunk, sizeof(chunk));
        }
        return buffer_append(ret, "", 0) < 0 ? error_oom(err) : 0;
}

static int write_all(int fd, const char *data, size_t n)
{
        while (n > 0) {
                ssize_t k = write(fd, data, n);
                if (k < 0 && errno == EINTR) {
                        continue;
                }
                if (k < 0) {
                        return -errno;
                }
                data += k;
                n -= (size_t) k;
        }
        return 0;
}

static int sync_parent(const char *path)
{
        _cleanup_free_ char *copy = strdup(path);
        if (!copy) {
                return -ENOMEM;
        }
        _cleanup_close_ int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static char *temporary_name(const char *path)
{
        uint64_t draw = 0;
        if (random_bytes(&draw, sizeof(draw), ERROR_IGNORED) < 0) {
                return NULL;
        }
        const char *slash = strrchr(path, '/');
        int folder = slash ? (int) (slash - path) + 1 : 0;
        return string_format("%.*s.%s.%016llx", folder, path, path + folder,
                             (unsigned long long) draw);
}

/* Makes a file without a name in the folder of path, writes the data and syncs it. A process that
 * is killed now leaves nothing behind. Not every filesystem has such files (open(2)); overlayfs has
 * them since Linux 6.3. On other filesystems the file has the name `temporary` at once. Returns its
 * descriptor. */
static int write_new(const char *path, const char *temporary, const void *data, size_t n,
                     mode_t mode)
{
        _cleanup_free_ char *copy = strdup(path);
        if (!copy) {
                return -ENOMEM;
        }
        _cleanup_close_ int fd = open(dirname(copy), O_WRONLY | O_TMPFILE | O_CLOEXEC, mode);
        if (fd < 0 && errno == EOPNOTSUPP) {
                fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        }
        if (fd < 0 || fchmod(fd, mode) < 0) { /* whatever the umask */
                return -errno;
        }
        int r = write_all(fd, data, n);
        if (r < 0) {
                return r;
        }
        return fsync(fd) < 0 ? -errno : TAKE_FD(fd);
}

/* Gives the complete file its name, in place of the file that has the name now. No system call does
 * that for a file without a name, so the file is named `temporary` in between. */
static int give_name(int fd, const char *temporary, const char *path)
{
        struct stat st;
        char source[32];
        (void) snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
        if (fstat(fd, &st) < 0 ||
            (st.st_nlink == 0 &&
             linkat(AT_FDCWD, source, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0) ||
            rename(temporary, path) < 0) {
                return -errno;
        }
        return sync_parent(path);
}

int file_write(const char *path, const void *data, size_t n, mode_t mode, Error *err)
{
        _cleanup_free_ char *temporary = temporary_name(path);
        if (!temporary) {
                return error_oom(err);
        }
        Effect effect = effect_before("file", path);
        _cleanup_close_ int fd = write_new(path, temporary, data, n, mode);
        effect_after(&effect, fd, NULL);
        int r = fd;
        if (r >= 0) {
                effect = effect_before("rename", path);
                r = give_name(fd, temporary, path);
                effect_after(&effect, r, NULL);
        }
        if (r < 0) {
                (void) unlink(
                        temporary); /* nobody else has this name; the failure to report is r */
                return error_errno(err, r, "write %s", path);
        }
        return 0;
}

int file_link(const char *content, const char *path, Error *err)
{
        _cleanup_free_ char *temporary = temporary_name(path);
        if (!temporary) {
                return error_oom(err);
        }
        Effect effect = effect_before("symlink", path);
        int r = symlink(content, temporary) < 0 || rename(temporary, path) < 0 ? -errno : 0;
        if (r >= 0) {
                r = sync_parent(path);
        }
        effect_after(&effect, r, NULL);
        if (r < 0) {
                (void) unlink(temporary); /* as in file_write() */
                return error_errno(err, r, "link %s", path);
        }
        return 0;
}

static int difference(char how[FILE_DIFFERENCE_MAX], const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static int difference(char how[FILE_DIFFERENCE_MAX], const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(how, FILE_DIFFERENCE_MAX, format, ap); /* a long path is cut */
        va_end(ap);
        return 1;
}

int file_difference(const char *path, const void *data, size_t n, mode_t mode,
                    char ret_how[FILE_DIFFERENCE_MAX], Error *err)
{
        struct stat st;
        ret_how[0] = '\0';
        if (lstat(path, &st) < 0) {
                return errno == ENOENT || errno == ENOTDIR
                               ? difference(ret_how, "%s is missing", path)
                               : error_errno(err, errno, "stat %s", path);
        }
        if (!S_ISREG(st.st_mode)) {
                return difference(ret_how, "%s is no regular file", path);
        }
        if ((st.st_mode & 07777) != mode) {
                return difference(ret_how, "%s has mode %04o, expected %04o", path,
                                  st.st_mode & 07777, mode);
        }
        if ((size_t) st.st_size != n) {
                return difference(ret_how, "%s has %lld bytes, expected %zu", path,
                                  (long long) st.st_size, n);
        }
        _cleanup_buffer_ Buffer old = { .wipe = (mode & 0077) == 0 };
        int r = file_read(path, n, &old, err);
        if (r < 0) {
                return r;
        }
        if (old.size != n || (n > 0 && memcmp(old.data, data, n) != 0)) {
                return difference(ret_how, "%s has another content than expected", path);
        }
        return 0;
}

int file_differs(const char *path, const void *data, size_t n, mode_t mode, Error *err)
{
        char how[FILE_DIFFERENCE_MAX];
        return file_difference(path, data, n, mode, how, err);
}

int file_write_if_changed(const char *path, const void *data, size_t n, mode_t mode, Error *err)
{
        int r = file_differs(path, data, n, mode, err);
        if (r <= 0) {
                return r;
        }
        r = file_write(path, data, n, mode, err);
        return r < 0 ? r : 1;
}

static int make_one_directory(const char *path, mode_t mode, Error *err)
{
        Effect effect = effect_before("mkdir", path);
        int r = mkdir(path, mode) < 0 ? -errno : 0;
        effect_after(&effect, r, NULL);
        return r < 0 && r != -EEXIST ? error_errno(err, r, "make folder %s", path) : 0;
}

int file_make_directory(const char *path, mode_t mode, Error *err)
{
        struct stat st;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == mode) {
                return 0;
        }
        _cleanup_free_ char *copy = strdup(path);
        if (!copy) {
                return error_oom(err);
        }
        for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                int r = access(copy, F_OK) == 0 ? 0 : make_one_directory(copy, 0755, err);
                if (r < 0) {
                        return r;
                }
                *slash = '/';
        }
        int r = make_one_directory(path, mode, err);
        if (r < 0) {
                return r;
        }
        Effect effect = effect_before("chmod", path); /* whatever the umask */
        r = chmod(path, mode) < 0 ? -errno : 0;
        effect_after(&effect, r, NULL);
        return r < 0 ? error_errno(err, r, "chmod %s", path) : 0;
}

int file_remove(const char *path, Error *err)
{
        Effect effect = effect_before("unlink", path);
        int r = unlink(path) < 0 ? -errno : 1;
        effect_after(&effect, r, NULL);
        if (r == -ENOENT) {
                return 0;
        }
        return r < 0 ? error_errno(err, r, "remove %s", path) : 1;
}

int file_set_aside(const char *path, Error *err)
{
        _cleanup_free_ char *aside = string_format("%s.damaged", path);
        if (!aside) {
                return error_oom(err);
        }
        Effect effect = effect_before("rename", path);
        int r = rename(path, aside) < 0 ? -errno : 1;
        effect_after(&effect, r, NULL);
        if (r == -ENOENT) {
                return 0;
        }
        return r < 0 ? error_errno(err, r, "rename %s", path) : 1;
}

int file_touch(const char *path, mode_t mode, Error *err)
{
        if (access(path, F_OK) == 0) {
                return 0;
        }
        Effect effect = effect_before("file", path);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);
        int r = fd < 0 ? -errno : 0;
        effect_after(&effect, r, NULL);
        return r < 0 ? error_errno(err, r, "make %s", path) : 0;
}

int file_clamp_time(const char *path, Error *err)
{
        static const struct timespec times[] = { { .tv_nsec = UTIME_OMIT },
                                                 { .tv_nsec = UTIME_NOW } };
        struct stat st;
        if (stat(path, &st) < 0) {
                return error_errno(err, errno, "stat %s", path);
        }
        struct timespec now;
        (void) clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for a clock that exists */
        if (st.st_mtim.tv_sec < now.tv_sec ||
            (st.st_mtim.tv_sec == now.tv_sec && st.st_mtim.tv_nsec <= now.tv_nsec)) {
                return 0;
        }
        Effect effect = effect_before("utimens", path);
        int r = utimensat(AT_FDCWD, path, times, 0) < 0 ? -errno : 1;
        effect_after(&effect, r, NULL);
        return r < 0 ? error_errno(err, r, "set the time of %s", path) : 1;
}

int file_read_line(const char *path, char **ret)
{
        _cleanup_buffer_ Buffer text = {};
        int r = file_read(path, 65536, &text, ERROR_IGNORED);
        if (r < 0) {
                return r;
        }
        char *line = buffer_take(&text);
        if (!line) {
                return -ENOMEM;
        }
        line[strcspn(line, "\n")] = '\0';
        *ret = line;
        return 0;
}
