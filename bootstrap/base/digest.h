/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* SHA-256 (FIPS 180-4). */

#define DIGEST_BYTES   32
#define DIGEST_HEX_MAX (2 * DIGEST_BYTES + 1)

void digest_sha256(const void *data, size_t n, unsigned char ret[DIGEST_BYTES]);

/* Writes the digest in lower-case hexadecimal. */
void digest_sha256_hex(const void *data, size_t n, char ret[DIGEST_HEX_MAX]);
