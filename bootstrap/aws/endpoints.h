/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define ENDPOINT_MAX 256

typedef struct Endpoint {
        char url[ENDPOINT_MAX]; /* scheme, host, port: no path, no trailing slash */
        bool overridden;        /* from the environment: S3 is addressed by path there */
} Endpoint;

/* The endpoint of "ec2", "s3", … in a region. `domain` as IMDS says (NULL: derived from the
 * region's prefix: cn- amazonaws.com.cn, else amazonaws.com). Overridden by
 * AWS_ENDPOINT_URL_<SERVICE>, then AWS_ENDPOINT_URL; AWS_USE_FIPS_ENDPOINT and
 * AWS_USE_DUALSTACK_ENDPOINT are honoured.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html */
int endpoint_resolve(const char *service, const char *region, const char *domain, Endpoint *ret,
                     Error *err);
