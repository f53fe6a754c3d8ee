/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/string.h"
#include "cluster/settings.h"

/* The objects in the bucket, below S3_PREFIX:
 *
 *     claim                         who is making the cluster's secrets (claim.h)
 *     master/GENERATION/NAME        for the master alone: the only place with keys of CAs
 *     node/GENERATION/NAME          for nodes
 *     admin/GENERATION/NAME         for the administrator's own machine
 *     index.json                    written last, conditionally: names every file and its SHA-256
 *
 * Readers trust the files that the index names, and nothing else. They never look at a generation
 * that was not finished, or that lost a race. Publishing SHA-256 digests is safe: every secret file
 * has at least 128 random bits. */

typedef enum ArtifactsFolder {
        ARTIFACTS_MASTER,
        ARTIFACTS_NODE,
        ARTIFACTS_ADMIN,
        _ARTIFACTS_FOLDER_MAX,
        _ARTIFACTS_FOLDER_INVALID = -EINVAL,
} ArtifactsFolder;

const char *artifacts_folder_to_string(ArtifactsFolder folder);

#define ARTIFACTS_INDEX_NAME      "index.json"
#define ARTIFACTS_CLAIM_NAME      "claim"
#define ARTIFACTS_INDEX_BYTES_MAX ((size_t) 128 << 10)
#define ARTIFACTS_FILES_MAX       256
#define ARTIFACTS_FILE_BYTES_MAX  ((size_t) 1 << 20)

typedef struct ArtifactsFile {
        char key[128]; /* relative to the prefix: "node/GENERATION/ca.crt" */
        char sha256[65];
        char mode[5]; /* "0600" or "0644" */
        uint64_t size;
} ArtifactsFile;

typedef struct ArtifactsIndex {
        char cluster_name[64];
        char cluster_id[40];
        char volume_id[32];
        char generation[40]; /* of the newest files */
        char created[24];
        char ca_sha256[65]; /* fingerprint of ca.crt */
        ClusterSettings settings;
        uint64_t revision; /* from 1; each index written over another adds 1 */
        ArtifactsFile *files;
        size_t n_files;
} ArtifactsIndex;

void artifacts_index_done(ArtifactsIndex *index);
#define _cleanup_artifacts_index_ _cleanup_(artifacts_index_done)

/* Parses an index, strictly. Anything that artifacts_index_format() does not write is ERROR_UNSAFE
 * (-EBADMSG): another schema, unknown or duplicate keys, a file's key outside of the folders, two
 * files of one name in one folder, too many or too large files. */
int artifacts_index_parse(const void *data, size_t n, ArtifactsIndex *ret, Error *err);

/* Appends the index's JSON to *ret. */
int artifacts_index_format(const ArtifactsIndex *index, Buffer *ret, Error *err);

/* Adds the file to the index, and computes its size and digest. */
int artifacts_index_add(ArtifactsIndex *index, ArtifactsFolder folder, const char *name,
                        mode_t mode, const void *data, size_t n, Error *err);

bool artifacts_file_is_in(const ArtifactsFile *file, ArtifactsFolder folder);
const char *artifacts_file_name(const ArtifactsFile *file); /* without its folders */
mode_t artifacts_file_mode(const ArtifactsFile *file);

/* Returns the file with this name in this folder, or NULL. */
const ArtifactsFile *artifacts_index_find(const ArtifactsIndex *index, ArtifactsFolder folder,
                                          const char *name);

/* Returns 0 if the bytes are those that the index promised, else ERROR_UNSAFE. The message has the
 * key and both digests (or sizes). */
int artifacts_file_verify(const ArtifactsFile *file, const void *data, size_t n, Error *err);

/* Makes a name for a new generation: the time, so that people can tell which is newer, and a random
 * part. */
int artifacts_generation_new(char ret[40], Error *err);

/* Makes an id of 128 random bits, for a cluster or a claim. */
int artifacts_random_id(char ret[40], Error *err);
