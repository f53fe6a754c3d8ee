/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parallel.h"
#include "cluster/certificate.h"
#include "host/mount.h"
#include "steps/secrets/secrets_internal.h"

/* Installs files from the bucket in the tmpfs. All files are in one folder, by their names.
 * Subfolders belong to others (kubelet's own certificates), and are left alone. */

static ArtifactsFolder install_folder_of(const Boot *boot)
{
        return boot->config.role == ROLE_MASTER ? ARTIFACTS_MASTER : ARTIFACTS_NODE;
}

static char *path_of(const ArtifactsFile *file)
{
        return string_format(SECRETS_DIR "/%s", artifacts_file_name(file));
}

/* Returns 1 if SECRETS_DIR is the tmpfs that it should be, else 0. Secrets that reach a disk would
 * stay there for good. */
static int tmpfs_is_right(Error *err)
{
        MountState state;
        int r = mount_look(SECRETS_DIR, &state, err);
        if (r < 0 || !state.mounted || !streq(state.type, "tmpfs")) {
                return r < 0 ? r : 0;
        }
        struct stat st;
        struct statvfs vfs;
        if (stat(SECRETS_DIR, &st) < 0 || statvfs(SECRETS_DIR, &vfs) < 0) {
                return error_errno(err, errno, "stat " SECRETS_DIR);
        }
        const unsigned long flags = ST_NOSUID | ST_NODEV | ST_NOEXEC;
        return (st.st_mode & 07777) == 0700 && st.st_uid == geteuid() &&
               (vfs.f_flag & flags) == flags;
}

/* Returns 1 if the file is here as the index says, else 0. */
static int file_is_right(const ArtifactsFile *file, StepContext *context, Error *err)
{
        _cleanup_free_ char *path = path_of(file);
        struct stat st;
        if (!path) {
                return error_oom(err);
        }
        if (lstat(path, &st) < 0) {
                if (errno != ENOENT) {
                        return error_errno(err, errno, "stat %s", path);
                }
                step_not_yet(context, "%s is missing", path);
                return 0;
        }
        mode_t mode = artifacts_file_mode(file);
        if (!S_ISREG(st.st_mode) || (st.st_mode & 07777) != mode || st.st_uid != geteuid()) {
                step_not_yet(context, "%s has mode %04o and owner %u, expected %04o and %u", path,
                             st.st_mode & 07777, st.st_uid, mode, geteuid());
                return 0;
        }
        if ((uint64_t) st.st_size != file->size) {
                step_not_yet(context, "%s has %lld bytes, expected %llu", path,
                             (long long) st.st_size, (unsigned long long) file->size);
                return 0;
        }
        _cleanup_secret_ Secret content = SECRET_INIT;
        int r = file_read(path, ARTIFACTS_FILE_BYTES_MAX, &content, err);
        if (r < 0) {
                return r;
        }
        if (artifacts_file_verify(file, content.data, content.size, ERROR_IGNORED) < 0) {
                step_not_yet(context, "%s has another content than the index says", path);
                return 0;
        }
        return 1;
}

int secrets_are_installed(const Boot *boot, StepContext *context, const BucketIndex *index,
                          Error *err)
{
        char how[FILE_DIFFERENCE_MAX];
        int r = tmpfs_is_right(err);
        if (r == 0) {
                step_not_yet(context, SECRETS_DIR " is no tmpfs of mode 0700 without suid, dev "
                                                  "and exec");
        }
        if (r <= 0) {
                return r;
        }
        r = file_difference(SECRETS_INDEX_FILE, index->text.data, index->text.size, 0600, how, err);
        if (r > 0) {
                step_not_yet(context, "%s", how);
                return 0;
        }
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(file, index->index.files, index->index.n_files) {
                r = artifacts_file_is_in(file, install_folder_of(boot))
                            ? file_is_right(file, context, err)
                            : 1;
                if (r <= 0) {
                        return r;
                }
        }
        return 1;
}

/* A file that the index names for this machine's role, with its content once it is fetched. */
typedef struct Fetched {
        const ArtifactsFile *file; /* points into the index */
        Secret content;
} Fetched;

typedef struct Fetch {
        const Boot *boot;
        StepContext *context;
        Fetched files[ARTIFACTS_FILES_MAX];
        size_t n;
} Fetch;

static void fetch_done(Fetch *fetch)
{
        FOREACH_ARRAY(fetched, fetch->files, fetch->n) {
                buffer_done(&fetched->content);
        }
        fetch->n = 0;
}

static int fetch_one(void *userdata, size_t i, Error *err)
{
        Fetch *fetch = userdata;
        const ArtifactsFile *file = fetch->files[i].file;
        Secret *content = &fetch->files[i].content;
        int r = bucket_get(fetch->boot, fetch->context, file->key, ARTIFACTS_FILE_BYTES_MAX,
                           content, NULL, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                return error_set(err, ERROR_UNSAFE, ENOENT, "%s is not there", file->key);
        }
        return artifacts_file_verify(file, content->data, content->size, err);
}

/* Compares the CA's fingerprint with the index, besides the file's digest: a master's volume knows
 * the CA by this fingerprint. */
static int check_authority(const ArtifactsIndex *index, const Secret *pem, Error *err)
{
        _cleanup_x509_ X509 *authority = NULL;
        char found[65];
        int r = certificate_from_pem(pem->data, pem->size, &authority, err);
        if (r >= 0) {
                r = certificate_fingerprint(authority, found, err);
        }
        if (r < 0) {
                return r;
        }
        if (!streq(found, index->ca_sha256)) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 "ca.crt has fingerprint %s where index.json says %s", found,
                                 index->ca_sha256);
        }
        return 0;
}

static int check_files(const Fetch *fetch, const ArtifactsIndex *index, Error *err)
{
        FOREACH_ARRAY(fetched, fetch->files, fetch->n) {
                if (streq(artifacts_file_name(fetched->file), "ca.crt")) {
                        return check_authority(index, &fetched->content, err);
                }
        }
        return error_set(err, ERROR_UNSAFE, ENOENT, "index.json names no %s/GENERATION/ca.crt",
                         artifacts_folder_to_string(install_folder_of(fetch->boot)));
}

static int fetch_all(Fetch *fetch, const ArtifactsIndex *index, Error *err)
{
        fetch_done(fetch);
        FOREACH_ARRAY(file, index->files, index->n_files) {
                if (artifacts_file_is_in(file, install_folder_of(fetch->boot))) {
                        fetch->files[fetch->n++] = (Fetched) { file, SECRET_INIT };
                }
        }
        step_waiting_for(fetch->context, "S3: fetch of %zu files", fetch->n);
        /* some thirty small objects: one after the other they cost a round trip each */
        int r = parallel_do(fetch->n, fetch_one, fetch, err);
        if (r >= 0) {
                r = check_files(fetch, index, err);
        }
        if (r < 0 && err->class == ERROR_UNSAFE) {
                return error_prefix(err,
                                    "s3://%s/%s is not as its index.json says, and nothing was "
                                    "written (restore the version of the object, or of "
                                    "index.json, that fits the other)",
                                    fetch->boot->config.s3_bucket, fetch->boot->config.s3_prefix);
        }
        return r;
}

/* Does as fetch_all(), but reads the index once more if a file does not match it. */
static int fetch_twice(Fetch *fetch, BucketIndex *index, Error *err)
{
        Error first = {};
        int r = fetch_all(fetch, &index->index, &first);
        if (r >= 0) {
                return 0;
        }
        _cleanup_bucket_index_ BucketIndex again = {};
        if (first.class == ERROR_UNSAFE) {
                r = bucket_get_index(fetch->boot, fetch->context, &again, err);
                if (r < 0) {
                        return r;
                }
        }
        /* Try again only with a changed index of the same CA: this step must not accept a different
         * CA. */
        if (again.text.size == 0 || streq(again.text.data, index->text.data) ||
            !streq(again.index.ca_sha256, index->index.ca_sha256)) {
                *err = first;
                return first.error ? -first.error : -EIO;
        }
        bucket_index_done(index);
        *index = again;
        again = (BucketIndex) {};
        return fetch_all(fetch, &index->index, err);
}

static int install_write_files(const Fetch *fetch, Error *err)
{
        FOREACH_ARRAY(fetched, fetch->files, fetch->n) {
                _cleanup_free_ char *path = path_of(fetched->file);
                if (!path) {
                        return error_oom(err);
                }
                int r = file_write_if_changed(path, fetched->content.data, fetched->content.size,
                                              artifacts_file_mode(fetched->file), err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

/* Removes the files that the previous index named and this one does not. */
static int remove_stale(const Boot *boot, const ArtifactsIndex *index, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        _cleanup_artifacts_index_ ArtifactsIndex old = {};
        struct stat st;
        if (lstat(SECRETS_INDEX_FILE, &st) < 0 && errno == ENOENT) {
                return 0;
        }
        int r = file_read(SECRETS_INDEX_FILE, ARTIFACTS_INDEX_BYTES_MAX, &text, err);
        if (r < 0) {
                return r;
        }
        if (artifacts_index_parse(text.data, text.size, &old, ERROR_IGNORED) < 0) {
                return 0; /* not written by this program, so it names no files of ours */
        }
        FOREACH_ARRAY(file, old.files, old.n_files) {
                ArtifactsFolder folder = install_folder_of(boot);
                if (!artifacts_file_is_in(file, folder) ||
                    artifacts_index_find(index, folder, artifacts_file_name(file))) {
                        continue;
                }
                _cleanup_free_ char *path = path_of(file);
                if (!path) {
                        return error_oom(err);
                }
                r = file_remove(path, err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

int secrets_install(const Boot *boot, StepContext *context, BucketIndex *index, Error *err)
{
        _cleanup_(fetch_done) Fetch fetch = { .boot = boot, .context = context };
        int r = fetch_twice(&fetch, index, err);
        if (r >= 0) {
                r = mount_tmpfs(SECRETS_DIR, SECRETS_SIZE_BYTES, err);
        }
        if (r >= 0) {
                r = install_write_files(&fetch, err);
        }
        if (r >= 0) {
                r = remove_stale(boot, &index->index, err);
        }
        if (r < 0) {
                return r;
        }
        /* last: until the index is here, the probe says that the files are not complete */
        r = file_write_if_changed(SECRETS_INDEX_FILE, index->text.data, index->text.size, 0600,
                                  err);
        return r < 0 ? r : 0;
}
