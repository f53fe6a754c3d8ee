/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The file looks like shell, but it is parsed and never executed: KEY=value, `export KEY=value`,
 * quotes as in sh, comments, ${EARLIER} and $EARLIER. Everything else that a shell would run or
 * expand ($(…), backquotes, ;, |, &, <, >, globs and the like outside quotes) is an error with
 * file, line and column.
 * https://pubs.opengroup.org/onlinepubs/9699919799/utilities/V3_chap02.html#tag_18_02 */

#define ENVFILE_MAX_BYTES   ((size_t) 64 << 10)
#define ENVFILE_MAX_ENTRIES 256

typedef struct EnvEntry {
        char *key;
        char *value;
        unsigned line;
        unsigned earlier_line; /* of an assignment to the same key before that; 0: there is none */
        bool conflicts;        /* the earlier one had another value */
} EnvEntry;

typedef struct EnvFile {
        EnvEntry *entries; /* in the file's order; a key assigned twice is there once, with its last
                              value and line */
        size_t n;
        bool byte_order_mark; /* the text begins with one; it was skipped */
} EnvFile;

/* Parses text (need not be terminated; NUL bytes are an error). `name` is for messages.
 * ERROR_CONFIG "NAME:LINE:COLUMN: what" for everything the grammar refuses. */
int envfile_parse(const char *name, const char *text, size_t n, EnvFile *ret, Error *err);

/* Reads and parses a file. */
int envfile_load(const char *path, EnvFile *ret, Error *err);

/* Returns the entry of the key, or NULL. */
const EnvEntry *envfile_get(const EnvFile *file, const char *key);

void envfile_done(EnvFile *file);
#define _cleanup_envfile_ _cleanup_(envfile_done)
