/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define ENDPOINT_MAX 256

typedef struct Endpoint {
        char url[ENDPOINT_MAX]; /* scheme, host, port: no path, no trailing slash */
        bool overridden;        /* from the environment; S3 is then addressed by path */
} Endpoint;

/* Resolves the endpoint of a service ("ec2", "s3", …) in a region. `domain` is the one that IMDS
 * gives; if it is NULL, the region's prefix decides: amazonaws.com.cn for cn-, else amazonaws.com.
 * AWS_ENDPOINT_URL_<SERVICE>, then AWS_ENDPOINT_URL override the result. AWS_USE_FIPS_ENDPOINT and
 * AWS_USE_DUALSTACK_ENDPOINT are honoured.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html */
int endpoint_resolve(const char *service, const char *region, const char *domain, Endpoint *ret,
                     Error *err);
