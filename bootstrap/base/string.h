/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* Loops over the n elements. An empty array may be NULL: C does not allow NULL + 0. */
#define FOREACH_ARRAY(item, array, n) \
        for (typeof((array)[0]) *item = (array); item && item < (array) + (n); item++)

static inline bool streq(const char *a, const char *b)
{
        return strcmp(a, b) == 0;
}

/* NULL equals only NULL. */
static inline bool streq_ptr(const char *a, const char *b)
{
        return a && b ? streq(a, b) : a == b;
}

static inline bool isempty(const char *s)
{
        return !s || !*s;
}

/* Returns s, or "" for NULL. */
static inline const char *strempty(const char *s)
{
        if (!s) {
                return "";
        }
        return s;
}

bool string_starts_with(const char *s, const char *prefix);
bool string_ends_with(const char *s, const char *suffix);

/* Reads a decimal number and nothing else. Returns 0, -EINVAL (no number) or -ERANGE (more than
 * max). */
int string_parse_u64(const char *s, uint64_t max, uint64_t *ret_value);

/* Returns a malloc'ed string, or NULL when out of memory. */
char *string_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Trims trailing white space in place. Returns s. */
char *string_strip_end(char *s);

/* Writes lower-case hexadecimal. ret must hold 2 * n + 1 bytes. */
void string_hex(const void *bytes, size_t n, char *ret);

/* A growing string with a maximum. Append functions return 0, -ENOMEM, or -EFBIG if the maximum
 * would be passed; after a failure the content is unchanged. `data` is always terminated once
 * anything was appended (the terminator is not counted in `size`), so text and bytes both fit. A
 * buffer that may hold a secret has `wipe` set: growth and buffer_done() then clear memory before
 * they free it. */
typedef struct Buffer {
        char *data;
        size_t size;
        size_t allocated;
        size_t max; /* 0: BUFFER_MAX_DEFAULT */
        bool wipe;
} Buffer;

#define BUFFER_MAX_DEFAULT ((size_t) 16 << 20)

int buffer_append(Buffer *b, const void *data, size_t n);
int buffer_append_string(Buffer *b, const char *s);
int buffer_append_format(Buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *buffer_take(Buffer *b); /* the text (never NULL after an append), caller frees; b is empty */
void buffer_done(Buffer *b);

#define _cleanup_buffer_ _cleanup_(buffer_done)

/* A list of strings, NULL-terminated as execve(2) wants it. */
typedef struct StringList {
        char **items;
        size_t n;
} StringList;

int string_list_append(StringList *list, const char *s); /* copies; 0 or -ENOMEM */
int string_list_append_format(StringList *list, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
bool string_list_contains(const StringList *list, const char *s);
void string_list_done(StringList *list);

#define _cleanup_string_list_ _cleanup_(string_list_done)
