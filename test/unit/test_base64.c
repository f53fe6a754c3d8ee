/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <errno.h>

#include "harness.h"

/* RFC 4648, section 10. */
static void test_known(void)
{
        static const char *const cases[][2] = {
                { "", "" },
                { "Zg==", "f" },
                { "Zm8=", "fo" },
                { "Zm9v", "foo" },
                { "Zm9vYg==", "foob" },
                { "Zm9vYmE=", "fooba" },
                { "Zm9vYmFy", "foobar" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer bytes = {};
                CHECK_INT(base64_decode((*c)[0], strlen((*c)[0]), &bytes), 0);
                CHECK_INT(bytes.size, strlen((*c)[1]));
                CHECK_STR(bytes.data, (*c)[1]);
                _cleanup_buffer_ Buffer text = {};
                CHECK_INT(base64_encode((*c)[1], strlen((*c)[1]), &text), 0);
                CHECK_INT(text.size, strlen((*c)[0]));
                CHECK_STR(text.data, (*c)[0]);
        }
        _cleanup_buffer_ Buffer bytes = {};
        CHECK_INT(base64_decode("+/+/AP8=", 8, &bytes), 0);
        CHECK(bytes.size == 5 && memcmp(bytes.data, "\xfb\xff\xbf\x00\xff", 5) == 0);
}

/* A text has one meaning, and a meaning one text. */
static void test_refused(void)
{
        static const char *const cases[] = {
                "Z",    "Zg",   "Zg=",  "Zm9vY",    "Zm9 ", "Zm9v\n", "Z===",
                "====", "Zm=v", "=m9v", "Zg==Zg==", "Zm9-", "Zm9_",   "Zh==" /* unused bits */,
                "Zm9=",
        };
        FOREACH_ARRAY(text, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer bytes = {};
                if (base64_decode(*text, strlen(*text), &bytes) != -EBADMSG) {
                        test_fail(__FILE__, __LINE__, "\"%s\" is taken", *text);
                }
        }
        _cleanup_buffer_ Buffer bytes = {};
        CHECK_INT(base64_decode("Zm9\0", 4, &bytes), -EBADMSG);
        Buffer small = { .max = 4 };
        CHECK_INT(base64_decode("Zm9vYmFy", 8, &small), -EFBIG);
        buffer_done(&small);
}

/* The encoder works in parts: no length is between two of them. */
static void test_lengths(void)
{
        unsigned char bytes[200];
        for (size_t i = 0; i < sizeof(bytes); i++) {
                bytes[i] = (unsigned char) (i * 7);
        }
        for (size_t n = 0; n <= sizeof(bytes); n++) {
                _cleanup_buffer_ Buffer text = {}, back = {};
                CHECK_INT(base64_encode(bytes, n, &text), 0);
                CHECK_INT(text.size, (n + 2) / 3 * 4);
                CHECK_INT(base64_decode(text.data ? text.data : "", text.size, &back), 0);
                CHECK(back.size == n && (n == 0 || memcmp(back.data, bytes, n) == 0));
        }
        Buffer small = { .max = 100 };
        CHECK_INT(base64_encode(bytes, sizeof(bytes), &small), -EFBIG);
        buffer_done(&small);
}

int main(void)
{
        test_case("base64: RFC 4648's own examples", test_known);
        test_case("base64: any length", test_lengths);
        test_case("base64: nothing that is not base64", test_refused);
        return test_done();
}
