/* SPDX-License-Identifier: Apache-2.0 */
#include "base/string.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

bool string_starts_with(const char *s, const char *prefix)
{
        return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool string_ends_with(const char *s, const char *suffix)
{
        size_t n = strlen(s), m = strlen(suffix);
        return n >= m && streq(s + n - m, suffix);
}

int string_parse_u64(const char *s, uint64_t max, uint64_t *ret_value)
{
        if (isempty(s)) {
                return -EINVAL;
        }
        uint64_t value = 0;
        for (const char *p = s; *p; p++) {
                if (*p < '0' || *p > '9') {
                        return -EINVAL;
                }
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (*p - '0'), &value)) {
                        return -ERANGE;
                }
        }
        if (value > max) {
                return -ERANGE;
        }
        *ret_value = value;
        return 0;
}

char *string_format(const char *format, ...)
{
        char *s = NULL;
        va_list ap;
        va_start(ap, format);
        int n = vasprintf(&s, format, ap);
        va_end(ap);
        return n < 0 ? NULL : s;
}

char *string_strip_end(char *s)
{
        size_t n = strlen(s);
        while (n > 0 && isspace((unsigned char) s[n - 1])) {
                s[--n] = '\0';
        }
        return s;
}

void string_hex(const void *bytes, size_t n, char *ret)
{
        static const char digits[] = "0123456789abcdef";
        const unsigned char *b = bytes;
        for (size_t i = 0; i < n; i++) {
                ret[2 * i] = digits[b[i] >> 4];
                ret[2 * i + 1] = digits[b[i] & 15];
        }
        ret[2 * n] = '\0';
}

static int buffer_grow(Buffer *b, size_t extra)
{
        size_t max = b->max ? b->max : BUFFER_MAX_DEFAULT;
        if (extra > max || b->size > max - extra) {
                return -EFBIG;
        }
        size_t need = b->size + extra + 1;
        if (need <= b->allocated) {
                return 0;
        }
        size_t want = need < 256 ? 256 : need + need / 2;
        char *data = malloc(want);
        if (!data) {
                return -ENOMEM;
        }
        if (b->data) {
                memcpy(data, b->data, b->size + 1);
                if (b->wipe) {
                        explicit_bzero(b->data, b->allocated);
                }
                free(b->data);
        }
        b->data = data;
        b->allocated = want;
        return 0;
}

int buffer_append(Buffer *b, const void *data, size_t n)
{
        int r = buffer_grow(b, n);
        if (r < 0) {
                return r;
        }
        if (n > 0) {
                memcpy(b->data + b->size, data, n);
        }
        b->size += n;
        b->data[b->size] = '\0';
        return 0;
}

int buffer_append_string(Buffer *b, const char *s)
{
        return buffer_append(b, s, strlen(s));
}

int buffer_append_format(Buffer *b, const char *format, ...)
{
        char *s = NULL;
        va_list ap;
        va_start(ap, format);
        int n = vasprintf(&s, format, ap);
        va_end(ap);
        if (n < 0) {
                return -ENOMEM;
        }
        int r = buffer_append(b, s, (size_t) n);
        if (b->wipe) {
                explicit_bzero(s, (size_t) n);
        }
        free(s);
        return r;
}

char *buffer_take(Buffer *b)
{
        char *data = TAKE(b->data);
        b->size = b->allocated = 0;
        return data;
}

void buffer_done(Buffer *b)
{
        if (b->data && b->wipe) {
                explicit_bzero(b->data, b->allocated);
        }
        free(TAKE(b->data));
        b->size = b->allocated = 0;
}

int string_list_append(StringList *list, const char *s)
{
        char **items = realloc(list->items, (list->n + 2) * sizeof(char *));
        if (!items) {
                return -ENOMEM;
        }
        list->items = items;
        items[list->n] = strdup(s);
        if (!items[list->n]) {
                return -ENOMEM;
        }
        items[++list->n] = NULL;
        return 0;
}

int string_list_append_format(StringList *list, const char *format, ...)
{
        _cleanup_free_ char *s = NULL;
        va_list ap;
        va_start(ap, format);
        int n = vasprintf(&s, format, ap);
        va_end(ap);
        return n < 0 ? -ENOMEM : string_list_append(list, s);
}

bool string_list_contains(const StringList *list, const char *s)
{
        for (size_t i = 0; i < list->n; i++) {
                if (streq(list->items[i], s)) {
                        return true;
                }
        }
        return false;
}

void string_list_done(StringList *list)
{
        for (size_t i = 0; i < list->n; i++) {
                free(list->items[i]);
        }
        free(TAKE(list->items));
        list->n = 0;
}
