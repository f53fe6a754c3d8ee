/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <openssl/sha.h>

#include "base/string.h"

void digest_sha256(const void *data, size_t n, unsigned char ret[DIGEST_BYTES])
{
        (void) SHA256(n > 0 ? data : "", n, ret); /* fails only for NULL */
}

void digest_sha256_hex(const void *data, size_t n, char ret[DIGEST_HEX_MAX])
{
        unsigned char digest[DIGEST_BYTES];
        digest_sha256(data, n, digest);
        string_hex(digest, sizeof(digest), ret);
}
