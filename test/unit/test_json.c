/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>

#include "harness.h"

#define SECRET_TEXT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void writes(void)
{
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        json_auto_t *json = json_pack("{s:s, s:[i, b]}", "a", "x/\"\n\x01", "b", 1, 0);
        CHECK_INT(buffer_append_string(&text, "= "), 0);
        CHECK_OK(json_write(json, JSON_COMPACT, &text, &err), err);
        CHECK_STR(text.data, "= {\"a\":\"x/\\\"\\n\\u0001\",\"b\":[1,false]}");
}

static void does_not_write(void)
{
        Error err = {};
        _cleanup_buffer_ Buffer small = { .max = 8 };
        json_auto_t *json = json_pack("{s:s}", "a", SECRET_TEXT);
        CHECK_INT(json_write(NULL, 0, &small, &err), -ENOMEM);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_INT(json_write(json, 0, &small, &err), -ENOMEM);
        CHECK(small.size <= 8);
}

/* malloc() gives the piece that was freed last again, with what is left in it (but not the address
 * sanitizer's). */
static void wipes(void)
{
        json_malloc_t allocate;
        json_free_t release;
        json_wipe_freed();
        json_get_alloc_funcs(&allocate, &release);
        json_decref(json_string(SECRET_TEXT));
        char *again = allocate(sizeof(SECRET_TEXT));
        REQUIRE(again);
        CHECK(!memmem(again, sizeof(SECRET_TEXT), "0123456789abcdef", 16));
        release(again);
}

int main(void)
{
        test_case("json: a document is appended", writes);
        test_case("json: no document, or no room for it", does_not_write);
        test_case("json: what is freed is wiped", wipes);
        return test_done();
}
