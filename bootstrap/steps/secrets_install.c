/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/certificate.h"
#include "host/mount.h"
#include "steps/secrets.h"

/* From the bucket into the tmpfs. Files lie there flat, by their names; folders in it are others'
 * (kubelet's own certificates), and left alone. */

static ArtifactsFolder folder_of(const Boot *boot)
{
        return boot->config.role == ROLE_MASTER ? ARTIFACTS_MASTER : ARTIFACTS_NODE;
}

static char *path_of(const ArtifactsFile *file)
{
        return string_format(SECRETS_DIR "/%s", artifacts_file_name(file));
}

/* 1 or 0. Secrets that were written where they reach a disk would be there for good. */
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

/* 1 or 0. */
static int file_is_right(const ArtifactsFile *file, Error *err)
{
        _cleanup_free_ char *path = path_of(file);
        struct stat st;
        if (!path) {
                return error_oom(err);
        }
        if (lstat(path, &st) < 0) {
                return errno == ENOENT ? 0 : error_errno(err, errno, "stat %s", path);
        }
        if (!S_ISREG(st.st_mode) || (st.st_mode & 07777) != artifacts_file_mode(file) ||
            st.st_uid != geteuid() || (uint64_t) st.st_size != file->size) {
                return 0;
        }
        _cleanup_secret_ Secret content = SECRET_INIT;
        int r = file_read(path, ARTIFACTS_FILE_BYTES_MAX, &content, err);
        return r < 0 ? r : artifacts_file_verify(file, content.data, content.size, NULL) >= 0;
}

int secrets_are_installed(const Boot *boot, const SecretsIndex *index, Error *err)
{
        int r = tmpfs_is_right(err);
        if (r <= 0) {
                return r;
        }
        r = file_differs(SECRETS_INDEX_FILE, index->text.data, index->text.size, 0600, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        FOREACH_ARRAY(file, index->index.files, index->index.n_files) {
                r = artifacts_file_is_in(file, folder_of(boot)) ? file_is_right(file, err) : 1;
                if (r <= 0) {
                        return r;
                }
        }
        return 1;
}

/* The contents of an index's files, in its order; those for other roles stay empty. */
typedef struct Contents {
        Secret *items;
        size_t n;
} Contents;

static void contents_done(Contents *contents)
{
        FOREACH_ARRAY(content, contents->items, contents->n) {
                buffer_done(content);
        }
        free(TAKE(contents->items));
        contents->n = 0;
}

static int fetch_one(const Boot *boot, StepContext *context, const ArtifactsFile *file, Secret *ret,
                     Error *err)
{
        int r = secrets_get(boot, context, file->key, ARTIFACTS_FILE_BYTES_MAX, ret, NULL, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                return error_set(err, ERROR_UNSAFE, ENOENT,
                                 "index.json names %s, which is not in S3_BUCKET=%s", file->key,
                                 boot->config.s3_bucket);
        }
        return artifacts_file_verify(file, ret->data, ret->size, err);
}

/* The index vouches for a CA besides the file's digest: a master's volume knows it by that. */
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

static int fetch_all(const Boot *boot, StepContext *context, const ArtifactsIndex *index,
                     Contents *ret, Error *err)
{
        contents_done(ret);
        ret->items = calloc(index->n_files, sizeof(*ret->items));
        if (!ret->items) {
                return error_oom(err);
        }
        ret->n = index->n_files;
        bool has_authority = false;
        for (size_t i = 0; i < index->n_files; i++) {
                const ArtifactsFile *file = &index->files[i];
                ret->items[i] = SECRET_INIT;
                if (!artifacts_file_is_in(file, folder_of(boot))) {
                        continue;
                }
                step_waiting_for(context, "S3: fetch %s", file->key);
                int r = fetch_one(boot, context, file, &ret->items[i], err);
                if (r >= 0 && streq(artifacts_file_name(file), "ca.crt")) {
                        r = check_authority(index, &ret->items[i], err);
                        has_authority = true;
                }
                if (r < 0) {
                        return r;
                }
        }
        if (!has_authority) {
                return error_set(err, ERROR_UNSAFE, ENOENT, "index.json names no %s/…/ca.crt",
                                 artifacts_folder_to_string(folder_of(boot)));
        }
        return 0;
}

/* As fetch_all(), with a second look at the index where something does not fit it. */
static int fetch(const Boot *boot, StepContext *context, SecretsIndex *index, Contents *ret,
                 Error *err)
{
        Error first = {};
        int r = fetch_all(boot, context, &index->index, ret, &first);
        if (r >= 0 || first.class != ERROR_UNSAFE) {
                if (r < 0 && err) {
                        *err = first;
                }
                return r;
        }
        _cleanup_secrets_index_ SecretsIndex again = {};
        r = secrets_get_index(boot, context, &again, err);
        if (r < 0) {
                return r;
        }
        bool replaced = r > 0 && (again.text.size != index->text.size ||
                                  memcmp(again.text.data, index->text.data, again.text.size) != 0);
        if (!replaced || !streq(again.index.ca_sha256, index->index.ca_sha256)) {
                if (err) {
                        *err = first;
                }
                return -first.error;
        }
        secrets_index_done(index);
        *index = again;
        again = (SecretsIndex) {};
        return fetch_all(boot, context, &index->index, ret, err);
}

static int write_files(const Boot *boot, const ArtifactsIndex *index, const Contents *contents,
                       Error *err)
{
        for (size_t i = 0; i < index->n_files; i++) {
                const ArtifactsFile *file = &index->files[i];
                if (!artifacts_file_is_in(file, folder_of(boot))) {
                        continue;
                }
                _cleanup_free_ char *path = path_of(file);
                if (!path) {
                        return error_oom(err);
                }
                int r = file_write_if_changed(path, contents->items[i].data,
                                              contents->items[i].size, artifacts_file_mode(file),
                                              err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

/* What the index that was here before named, and this one does not. */
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
        if (artifacts_index_parse(text.data, text.size, &old, NULL) < 0) {
                return 0; /* this program did not write it: it tells nothing of what it wrote */
        }
        FOREACH_ARRAY(file, old.files, old.n_files) {
                ArtifactsFolder folder = folder_of(boot);
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

int secrets_install(const Boot *boot, StepContext *context, SecretsIndex *index, Error *err)
{
        _cleanup_(contents_done) Contents contents = {};
        int r = fetch(boot, context, index, &contents, err);
        if (r >= 0) {
                r = mount_tmpfs(SECRETS_DIR, SECRETS_SIZE_BYTES, err);
        }
        if (r >= 0) {
                r = write_files(boot, &index->index, &contents, err);
        }
        if (r >= 0) {
                r = remove_stale(boot, &index->index, err);
        }
        if (r < 0) {
                return r;
        }
        /* last: until it is there, the probe says that the rest is not all there */
        r = file_write_if_changed(SECRETS_INDEX_FILE, index->text.data, index->text.size, 0600,
                                  err);
        return r < 0 ? r : 0;
}
