/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "aws/endpoints.h"
#include "base/string.h"

/* Appends the address of an object to *ret. It is by path if the endpoint is overridden, or if the
 * bucket's name has a dot: the wildcard of S3's certificate covers one label only.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html */
int s3_url(const Endpoint *endpoint, const char *bucket, const char *key, Buffer *ret);
