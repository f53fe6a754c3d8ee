/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stddef.h>

#include "base/error.h"
#include "base/string.h"

/* The record of a volume's formatting is the object S3_PREFIX/volumes/VOLUME_ID.json. It is created
 * with If-None-Match: * before the first byte is written to the volume, and says `formatted` before
 * any data is kept there. So a volume without a record was never formatted by a master of this
 * bucket, unless by one of an older kube-bootstrap. A volume whose record says `formatting` holds
 * no data that was kept. A volume whose record says `formatted` is never treated as new again. The
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
        char uuid[40];        /* of the filesystem, also before it is made */
        char created[24];
        FormatState state;
} FormatRecord;

/* Writes the object's name below S3_PREFIX. */
void format_record_name(const char *volume_id, char ret[FORMAT_RECORD_NAME_MAX]);

/* Parses strictly, as artifacts_index_parse() does. */
int format_record_parse(const void *data, size_t n, FormatRecord *ret, Error *err);
int format_record_format(const FormatRecord *record, Buffer *ret, Error *err); /* appended */
