/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/string.h"

/* Appends the n bytes in base64 with padding (RFC 4648, section 4). Returns what buffer_append()
 * returns. The function wipes its own copy of the text. */
int base64_encode(const void *data, size_t n, Buffer *ret);

/* Decodes n characters of base64 (RFC 4648, section 4) and appends the bytes to *ret. Only one text
 * is accepted for the same bytes: whole groups of four characters, "=" only at the end, nothing
 * between the groups, unused bits zero. Returns 0, -EBADMSG, or what buffer_append() returns. */
int base64_decode(const char *text, size_t n, Buffer *ret);
