/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>

#include "cluster/format_record.h"
#include "host/filesystem.h"

/* Decides what may be done with the volume, from its content and the words of bucket and EC2. */

typedef struct FormatScene {
        DiskContent content;
        bool has_record;
        FormatState state;  /* of the record */
        bool named;         /* claim or index in the bucket name the volume */
        bool is_stacks_own; /* EC2: encrypted, made from no snapshot, and by this stack */
        bool given_up;      /* a person said so (--format-volume) */
} FormatScene;

typedef enum FormatOutcome {
        FORMAT_REFUSE,
        FORMAT_DONE,
        FORMAT_SETTLE, /* the filesystem is whole; the record must say so */
        FORMAT_MAKE,   /* write the record, then filesystem_format() */
        _FORMAT_OUTCOME_MAX,
        _FORMAT_OUTCOME_INVALID = -EINVAL,
} FormatOutcome;

/* Returns what to do. Pure. */
FormatOutcome format_decide(const FormatScene *scene);
