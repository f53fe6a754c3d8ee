/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/string.h"

/* Appends the n bytes as RFC 4648, section 4, writes them, with padding: 0, or as buffer_append().
 * Its own copy is wiped too where *ret is to be wiped. */
int base64_encode(const void *data, size_t n, Buffer *ret);

/* The n characters as RFC 4648, section 4, has them: whole groups of four, "=" at the end alone,
 * nothing between, unused bits zero, so that a text has one meaning and a meaning one text. The
 * bytes are appended to *ret: 0, -EBADMSG, or as buffer_append(). */
int base64_decode(const char *text, size_t n, Buffer *ret);
