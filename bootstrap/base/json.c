/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <malloc.h>
#include <stdlib.h>

static void free_wiped(void *p)
{
        if (p) {
                explicit_bzero(p, malloc_usable_size(p));
                free(p);
        }
}

void json_wipe_freed(void)
{
        json_set_alloc_funcs(malloc, free_wiped);
}

static int append(const char *text, size_t n, void *ret)
{
        return buffer_append(ret, text, n);
}

int json_write(const json_t *json, size_t flags, Buffer *ret, Error *err)
{
        return json_dump_callback(json, append, ret, flags) < 0 ? error_oom(err) : 0;
}
