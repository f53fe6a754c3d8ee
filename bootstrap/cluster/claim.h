/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/string.h"

/* The claim: S3_PREFIX/claim, created with If-None-Match: * before anything is made, so that of
 * masters that start together one alone makes secrets. It names who does, for which cluster, on
 * which volume. It is no lease and has no age: whether its holder lives is EC2's to say.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */

#define CLAIM_BYTES_MAX ((size_t) 4 << 10)

typedef struct Claim {
        char cluster_name[64];
        char cluster_id[40];
        char volume_id[32];
        char instance_id[32];
        char nonce[40]; /* tells one writing of it from another by the same instance */
        char created[24];
} Claim;

/* Strict, as artifacts_index_parse(). */
int claim_parse(const void *data, size_t n, Claim *ret, Error *err);
int claim_format(const Claim *claim, Buffer *ret, Error *err); /* appended */

/* Whether a holder in this state (ec2:DescribeInstances; known false: EC2 has no such instance) can
 * never again go on. EC2 forgets a terminated instance after about an hour. One that is stopped can
 * be started, one that is shutting down may still be writing.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html */
bool claim_holder_is_gone(bool known, const char *state);
