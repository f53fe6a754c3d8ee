/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/secret.h"

/* The keys that a role or a user signs with. */
typedef struct AwsKeys {
        char access_key_id[160];
        Secret secret_access_key;
        Secret session_token; /* empty: none */
        int64_t expires;      /* seconds since 1970; 0: never */
} AwsKeys;

void aws_keys_done(AwsKeys *keys);
#define _cleanup_aws_keys_ _cleanup_(aws_keys_done)
