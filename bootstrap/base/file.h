/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/string.h"

/* Reads the whole file, appended to *ret (so a Secret is read into a Secret). -EFBIG (ERROR_CONFIG)
 * past max_bytes; other failures by errno, the path named. */
int file_read(const char *path, size_t max_bytes, Buffer *ret, Error *err);

/* Replaces path atomically: temporary name in the same folder, created with `mode`, written, fsync,
 * rename, fsync of the folder. A reader, or a machine that loses power, sees the old or the new
 * content, never half. The folder must exist. */
int file_write(const char *path, const void *data, size_t n, mode_t mode, Error *err);

/* As file_write(), but only if the content or the mode differs. Returns 1 if written, 0 if it was
 * so. */
int file_write_if_changed(const char *path, const void *data, size_t n, mode_t mode, Error *err);

/* Returns 1 if file_write_if_changed() would write, else 0. */
int file_differs(const char *path, const void *data, size_t n, mode_t mode, Error *err);

/* Compares as file_differs() does, and says in one line what differs: "/run/x has mode 0644,
 * expected 0600"; "" where nothing does. */
#define FILE_DIFFERENCE_MAX 200
int file_difference(const char *path, const void *data, size_t n, mode_t mode,
                    char ret_how[FILE_DIFFERENCE_MAX], Error *err);

/* The folder and its parents; the last one gets `mode`, also when it was there already; parents
 * 0755. */
int file_make_directory(const char *path, mode_t mode, Error *err);

/* Removes the file; one that is not there is fine. Returns 1 if it was there, else 0. */
int file_remove(const char *path, Error *err);

/* Renames the file to its name with ".damaged" behind it, in place of an earlier one of that name.
 * Returns 1 if it was there, else 0. */
int file_set_aside(const char *path, Error *err);

/* Makes an empty file if there is none; one that is there is left alone. */
int file_touch(const char *path, mode_t mode, Error *err);

/* A file from the future, since the clock was set back after it was written, becomes one of now:
 * else it is newer than whatever is started from it, each time, until the clock is there again. 1
 * if so, 0 if there was no need. */
int file_clamp_time(const char *path, Error *err);

/* One line of a small file of sysfs or procfs (without its newline): malloc'ed in *ret.
 * Missing file: -ENOENT. Does not fill an Error: absence is an answer there. */
int file_read_line(const char *path, char **ret);
