/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "base/string.h"

/* jansson copies every string that it is given or reads. From this call on it wipes all memory that
 * it frees, so a secret may stand in a document. To be called before there are threads. */
void json_wipe_freed(void);

/* Appends the document's text, and makes no copy of it elsewhere: it is wiped if *ret is to be
 * wiped. flags: those of json_dumps(). A document that is NULL could not be made: -ENOMEM. */
int json_write(const json_t *json, size_t flags, Buffer *ret, Error *err);
