/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/string.h"

/* Reads the whole file and appends it to *ret (a Secret stays a Secret). A file larger than
 * max_bytes is -EFBIG (ERROR_CONFIG). Other failures have the class of their errno. The message
 * names the path. */
int file_read(const char *path, size_t max_bytes, Buffer *ret, Error *err);

/* Replaces path atomically: writes a new file with `mode` in the same folder, then fsync, rename,
 * and fsync of the folder. A reader sees the old or the new content, never half of it, also after a
 * loss of power. The folder must exist. */
int file_write(const char *path, const void *data, size_t n, mode_t mode, Error *err);

/* Does what file_write() does, but only if the content or the mode differs. Returns 1 if it wrote
 * the file, 0 if nothing differs. */
int file_write_if_changed(const char *path, const void *data, size_t n, mode_t mode, Error *err);

/* Returns 1 if file_write_if_changed() would write, else 0. */
int file_differs(const char *path, const void *data, size_t n, mode_t mode, Error *err);

/* Does what file_differs() does, and writes to ret_how in one line what differs: "/run/x has mode
 * 0644, expected 0600". ret_how is "" if nothing differs. */
#define FILE_DIFFERENCE_MAX 200
int file_difference(const char *path, const void *data, size_t n, mode_t mode,
                    char ret_how[FILE_DIFFERENCE_MAX], Error *err);

/* Makes path a symbolic link with this content, in place of what has the name now, as atomically as
 * file_write(). */
int file_link(const char *content, const char *path, Error *err);

/* Makes the folder and its missing parents. The folder gets `mode`, also if it existed before. A
 * new parent gets 0755, less the umask. */
int file_make_directory(const char *path, mode_t mode, Error *err);

/* Removes the file. A missing file is no error. Returns 1 if it was there, else 0. */
int file_remove(const char *path, Error *err);

/* Appends ".damaged" to the file's name, and replaces an earlier file of that name. Returns 1 if
 * the file was there, else 0. */
int file_set_aside(const char *path, Error *err);

/* Makes an empty file if there is none. An existing file stays as it is. */
int file_touch(const char *path, mode_t mode, Error *err);

/* Sets the file's time to now if it is in the future: the clock was set back after the file was
 * written. Otherwise the file would be newer than every process that is started from it, until the
 * clock reaches that time again. Returns 1 if it set the time, 0 if there was no need. */
int file_clamp_time(const char *path, Error *err);

/* Reads the first line of a small file of sysfs or procfs, without its newline, into *ret
 * (malloc'ed). Returns -ENOENT if the file is missing. Fills no Error, because there a missing file
 * is an answer. */
int file_read_line(const char *path, char **ret);
