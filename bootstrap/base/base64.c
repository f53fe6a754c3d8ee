/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <errno.h>
#include <openssl/evp.h>

#define GROUPS_AT_ONCE 16

/* Returns 0 to 63, or -1. */
static int digit_value(char c)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *at = c ? strchr(digits, c) : NULL;
        return at ? (int) (at - digits) : -1;
}

/* Decodes a group of four characters, of which the first n are digits, to n - 1 bytes. Returns 0,
 * or -EBADMSG. */
static int decode_group(const char *text, size_t n, unsigned char ret[3])
{
        static const uint32_t unused[] = { [2] = 0xffff, [3] = 0xff, [4] = 0 };
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
                int value = i < n ? digit_value(text[i]) : 0;
                if (value < 0) {
                        return -EBADMSG;
                }
                bits = bits << 6 | (uint32_t) value;
        }
        if (bits & unused[n]) {
                return -EBADMSG;
        }
        ret[0] = (unsigned char) (bits >> 16);
        ret[1] = (unsigned char) (bits >> 8);
        ret[2] = (unsigned char) bits;
        return 0;
}

int base64_decode(const char *text, size_t n, Buffer *ret)
{
        if (n % 4 != 0) {
                return -EBADMSG;
        }
        if (n == 0) {
                return buffer_append(ret, "", 0); /* terminated, as any other result */
        }
        for (size_t i = 0; i < n; i += 4) {
                size_t digits = 4;
                if (i + 4 == n) {
                        digits -= text[i + 3] == '=';
                        digits -= digits == 3 && text[i + 2] == '=';
                }
                unsigned char bytes[3];
                int r = decode_group(text + i, digits, bytes);
                if (r >= 0) {
                        r = buffer_append(ret, bytes, digits - 1);
                }
                explicit_bzero(bytes, sizeof(bytes));
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

int base64_encode(const void *data, size_t n, Buffer *ret)
{
        const unsigned char *bytes = data;
        unsigned char text[4 * GROUPS_AT_ONCE + 1];
        int r = buffer_append(ret, "", 0); /* terminated, also where n is 0 */
        for (size_t i = 0; i < n && r >= 0; i += 3 * GROUPS_AT_ONCE) {
                size_t part = n - i < 3 * GROUPS_AT_ONCE ? n - i : 3 * GROUPS_AT_ONCE;
                int used = EVP_EncodeBlock(text, bytes + i, (int) part);
                r = buffer_append(ret, text, (size_t) used);
        }
        explicit_bzero(text, sizeof(text));
        return r;
}
