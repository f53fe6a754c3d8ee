/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stddef.h>

#include "base/error.h"
#include "base/string.h"

/* The record of a volume's formatting: S3_PREFIX/volumes/VOLUME_ID.json. It is created with
 * If-None-Match: * before the first byte is written to the volume, and says `formatted` before
 * anything is kept there. So a volume without a record was never formatted by a master of this
 * bucket (or by one of an older kube-bootstrap), a volume whose record says `formatting` holds
 * nothing that was kept, and one whose record says `formatted` is never taken for new again. The
 * record alone does not make the bucket a cluster's: cluster/lineage.h does not look at it. */

#define FORMAT_RECORD_BYTES_MAX ((size_t) 4 << 10)
#define FORMAT_RECORD_NAME_MAX  64

typedef enum FormatState {
        FORMAT_FORMATTING,
        FORMAT_FORMATTED,
        _FORMAT_STATE_MAX,
        _FORMAT_STATE_INVALID = -EINVAL,
} FormatState;

typedef struct FormatRecord {
        char cluster_name[64];
        char volume_id[32];
        char instance_id[32]; /* the writer */
        char uuid[40];        /* that the filesystem has, or will have */
        char created[24];
        FormatState state;
} FormatRecord;

/* The object's name below S3_PREFIX. */
void format_record_name(const char *volume_id, char ret[FORMAT_RECORD_NAME_MAX]);

/* Strict, as artifacts_index_parse(). */
int format_record_parse(const void *data, size_t n, FormatRecord *ret, Error *err);
int format_record_format(const FormatRecord *record, Buffer *ret, Error *err); /* appended */
