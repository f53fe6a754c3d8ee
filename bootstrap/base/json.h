/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "base/string.h"

/* Makes jansson wipe all memory that it frees from this call on, so that a document may hold a
 * secret: jansson copies every string that it is given or reads. Must be called before the first
 * thread is made. */
void json_wipe_freed(void);

/* Appends the document's text to *ret and makes no other copy of it, so the text is wiped if *ret
 * is. `flags` are those of json_dumps(). A NULL document is one that could not be made: -ENOMEM. */
int json_write(const json_t *json, size_t flags, Buffer *ret, Error *err);
