/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A bucket in memory, beside ec2_world.h's EC2: GET, PUT with If-None-Match and If-Match, HEAD is
 * not asked for. It answers what its server is asked below "/bucket/". */

#include "ec2_world.h"

extern unsigned bucket_lost_answers; /* so many PUTs are done, and their answers are errors */

void bucket_fill(const char *key, const char *body);

void bucket_clear(void);

const char *bucket_body(const char *key);

/* The answer to a request below /bucket/, NULL for any other. */
char *bucket_answer(const char *request);

/* As start_world(), with the bucket. */
void start_world_with_bucket(void);
