/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/artifacts.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/digest.h"
#include "base/secret.h"
#include "base/time.h"
#include "cluster/document.h"

#define WHAT "index.json"

static const char *const folder_names[_ARTIFACTS_FOLDER_MAX] = {
        [ARTIFACTS_MASTER] = "master",
        [ARTIFACTS_NODE] = "node",
        [ARTIFACTS_ADMIN] = "admin",
};

static const DocumentField index_fields[] = {
        DOCUMENT_STRING(ArtifactsIndex, cluster_name, DOCUMENT_NAME),
        DOCUMENT_STRING(ArtifactsIndex, cluster_id, DOCUMENT_CLUSTER_ID),
        DOCUMENT_STRING(ArtifactsIndex, volume_id, DOCUMENT_VOLUME_ID),
        DOCUMENT_STRING(ArtifactsIndex, generation, DOCUMENT_LABEL),
        DOCUMENT_UINT(ArtifactsIndex, revision, INT32_MAX),
        DOCUMENT_STRING(ArtifactsIndex, created, DOCUMENT_TIME),
        DOCUMENT_STRING(ArtifactsIndex, ca_sha256, DOCUMENT_SHA256),
        SETTINGS_FIELDS(ArtifactsIndex, settings),
};

static const DocumentField file_fields[] = {
        DOCUMENT_STRING(ArtifactsFile, key, DOCUMENT_PATH),
        DOCUMENT_STRING(ArtifactsFile, sha256, DOCUMENT_SHA256),
        DOCUMENT_UINT(ArtifactsFile, size, ARTIFACTS_FILE_BYTES_MAX),
        DOCUMENT_STRING(ArtifactsFile, mode, DOCUMENT_MODE),
};

const char *artifacts_folder_to_string(ArtifactsFolder folder)
{
        return folder >= 0 && folder < _ARTIFACTS_FOLDER_MAX ? folder_names[folder] : NULL;
}

void artifacts_index_done(ArtifactsIndex *index)
{
        free(TAKE(index->files));
        index->n_files = 0;
}

bool artifacts_file_is_in(const ArtifactsFile *file, ArtifactsFolder folder)
{
        size_t n = strlen(folder_names[folder]);
        return strncmp(file->key, folder_names[folder], n) == 0 && file->key[n] == '/';
}

const char *artifacts_file_name(const ArtifactsFile *file)
{
        const char *slash = strrchr(file->key, '/');
        return slash ? slash + 1 : file->key;
}

mode_t artifacts_file_mode(const ArtifactsFile *file)
{
        return (mode_t) strtoul(file->mode, NULL, 8);
}

static ArtifactsFolder artifacts_folder_of(const ArtifactsFile *file)
{
        for (ArtifactsFolder i = 0; i < _ARTIFACTS_FOLDER_MAX; i++) {
                if (artifacts_file_is_in(file, i)) {
                        return i;
                }
        }
        return _ARTIFACTS_FOLDER_INVALID;
}

const ArtifactsFile *artifacts_index_find(const ArtifactsIndex *index, ArtifactsFolder folder,
                                          const char *name)
{
        FOREACH_ARRAY(file, index->files, index->n_files) {
                if (artifacts_file_is_in(file, folder) && streq(artifacts_file_name(file), name)) {
                        return file;
                }
        }
        return NULL;
}

/* Returns true for FOLDER/GENERATION/NAME. NAME becomes a file in the secrets' folder: it must not
 * be hidden, ".." or the name of the index itself. */
static bool key_is_valid(const ArtifactsFile *file)
{
        const char *slash = strchr(file->key, '/');
        if (!slash) {
                return false;
        }
        const char *generation = slash + 1;
        size_t n = strcspn(generation, "/");
        char label[40] = "";
        if (n >= sizeof(label) || generation[n] != '/') {
                return false;
        }
        memcpy(label, generation, n);
        const char *name = generation + n + 1;
        return document_is(DOCUMENT_LABEL, label) && !strchr(name, '/') && *name && *name != '.' &&
               *name != '-' && strlen(name) <= 64 && !streq(name, ARTIFACTS_INDEX_NAME);
}

static bool mode_is_valid(const ArtifactsFile *file)
{
        return streq(file->mode, "0600") || streq(file->mode, "0644");
}

/* Checks what the tables of fields cannot express. */
static int check_file(const ArtifactsIndex *index, const ArtifactsFile *file, ErrorClass class,
                      Error *err)
{
        ArtifactsFolder folder = artifacts_folder_of(file);
        if (folder < 0 || !key_is_valid(file)) {
                return error_set(err, class, EBADMSG,
                                 WHAT ": key \"%s\" is not {master,node,admin}/GENERATION/NAME",
                                 file->key);
        }
        if (!mode_is_valid(file)) {
                return error_set(err, class, EBADMSG, WHAT ": %s: mode %s is neither 0600 nor 0644",
                                 file->key, file->mode);
        }
        if (artifacts_index_find(index, folder, artifacts_file_name(file))) {
                return error_set(err, class, EBADMSG, WHAT ": %s: a second file of this name",
                                 file->key);
        }
        return 0;
}

static int read_files(const json_t *array, ArtifactsIndex *ret, Error *err)
{
        size_t n = json_array_size(array);
        if (!json_is_array(array) || n < 1 || n > ARTIFACTS_FILES_MAX) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 WHAT ": files is not a list of 1 to %d", ARTIFACTS_FILES_MAX);
        }
        ret->files = calloc(n, sizeof(*ret->files));
        if (!ret->files) {
                return error_oom(err);
        }
        for (size_t i = 0; i < n; i++) {
                ArtifactsFile file = {};
                int r = document_read(WHAT ": an entry of files", json_array_get(array, i),
                                      file_fields, ELEMENTS(file_fields), 0, &file, err);
                if (r >= 0) {
                        r = check_file(ret, &file, ERROR_UNSAFE, err);
                }
                if (r < 0) {
                        return r;
                }
                ret->files[ret->n_files++] = file;
        }
        return 0;
}

int artifacts_index_parse(const void *data, size_t n, ArtifactsIndex *ret, Error *err)
{
        json_auto_t *root = NULL;
        int r = document_parse(WHAT, data, n, ARTIFACTS_INDEX_BYTES_MAX, &root, err);
        if (r < 0) {
                return r;
        }
        _cleanup_artifacts_index_ ArtifactsIndex index = {};
        r = read_files(json_object_get(root, "files"), &index, err);
        if (r >= 0) { /* "schema" and "files" are the two further fields */
                r = document_read(WHAT, root, index_fields, ELEMENTS(index_fields), 2, &index, err);
        }
        if (r < 0) {
                return r;
        }
        *ret = index;
        index.files = NULL;
        return 0;
}

static int artifacts_write_files(const ArtifactsIndex *index, json_t *array, Error *err)
{
        FOREACH_ARRAY(file, index->files, index->n_files) {
                json_auto_t *entry = json_object();
                int r = document_write(WHAT, file_fields, ELEMENTS(file_fields), file, entry, err);
                if (r < 0) {
                        return r;
                }
                if (json_array_append_new(array, TAKE(entry)) < 0) {
                        return error_oom(err);
                }
        }
        return 0;
}

int artifacts_index_format(const ArtifactsIndex *index, Buffer *ret, Error *err)
{
        json_auto_t *root = json_pack("{s:i}", "schema", DOCUMENT_SCHEMA);
        json_auto_t *array = json_array();
        int r = document_write(WHAT, index_fields, ELEMENTS(index_fields), index, root, err);
        if (r >= 0) {
                r = artifacts_write_files(index, array, err);
        }
        if (r < 0) {
                return r;
        }
        if (json_object_set(root, "files", array) < 0) {
                return error_oom(err);
        }
        return document_dump(root, ret, err);
}

int artifacts_index_add(ArtifactsIndex *index, ArtifactsFolder folder, const char *name,
                        mode_t mode, const void *data, size_t n, Error *err)
{
        ArtifactsFile file = { .size = n };
        int length = snprintf(file.key, sizeof(file.key), "%s/%s/%s", folder_names[folder],
                              index->generation, name);
        if (length < 0 || (size_t) length >= sizeof(file.key) || n > ARTIFACTS_FILE_BYTES_MAX ||
            index->n_files >= ARTIFACTS_FILES_MAX) {
                return error_set(err, ERROR_FATAL, EINVAL, WHAT ": no room for %s", name);
        }
        (void) snprintf(file.mode, sizeof(file.mode), "%04o", (unsigned) mode & 07777);
        digest_sha256_hex(data, n, file.sha256);
        int r = check_file(index, &file, ERROR_FATAL, err);
        if (r < 0) {
                return r;
        }
        ArtifactsFile *files = realloc(index->files, (index->n_files + 1) * sizeof(*files));
        if (!files) {
                return error_oom(err);
        }
        index->files = files;
        files[index->n_files++] = file;
        return 0;
}

int artifacts_file_verify(const ArtifactsFile *file, const void *data, size_t n, Error *err)
{
        if (n != file->size) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 "%s has %zu bytes where index.json says %llu", file->key, n,
                                 (unsigned long long) file->size);
        }
        char found[65];
        digest_sha256_hex(data, n, found);
        if (!streq(found, file->sha256)) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 "%s has SHA-256 %s where index.json says %s", file->key, found,
                                 file->sha256);
        }
        return 0;
}

int artifacts_random_id(char ret[40], Error *err)
{
        _cleanup_secret_ Secret hex = SECRET_INIT;
        int r = secret_random_hex(16, &hex, err);
        if (r < 0) {
                return r;
        }
        (void) snprintf(ret, 40, "%s", hex.data);
        return 0;
}

int artifacts_generation_new(char ret[40], Error *err)
{
        char id[40];
        int r = artifacts_random_id(id, err);
        if (r < 0) {
                return r;
        }
        char stamp[TIME_TEXT_MAX];
        time_format_basic(time(NULL), stamp);
        (void) snprintf(ret, 40, "%s-%.8s", stamp, id);
        return 0;
}
