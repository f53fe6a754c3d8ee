/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/string.h"

/* The claim is the object S3_PREFIX/claim. A master creates it with If-None-Match: * before it
 * makes anything, so that only one of several masters that start together makes secrets. The claim
 * names that master, its cluster and its volume. The claim is no lease and never expires: EC2 tells
 * whether its holder still lives.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */

#define CLAIM_BYTES_MAX ((size_t) 4 << 10)

typedef struct Claim {
        char cluster_name[64];
        char cluster_id[40];
        char volume_id[32];
        char instance_id[32];
        char nonce[40]; /* distinguishes two claims that one instance wrote */
        char created[24];
} Claim;

/* Parses strictly, as artifacts_index_parse() does. */
int claim_parse(const void *data, size_t n, Claim *ret, Error *err);
int claim_format(const Claim *claim, Buffer *ret, Error *err); /* appended */

/* Returns true if a holder in this state can never continue. state is that of
 * ec2:DescribeInstances; known is false if EC2 has no such instance. EC2 forgets a terminated
 * instance after about an hour. A stopped instance can be started again, and one that is shutting
 * down may still be writing.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html */
bool claim_holder_is_gone(bool known, const char *state);
