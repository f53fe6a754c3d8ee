/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "aws/endpoints.h"
#include "base/string.h"

/* The address of an object, appended to *ret. By path where the endpoint is overridden, or where
 * the bucket's name has a dot: the certificate's wildcard stands for one label.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html */
int s3_url(const Endpoint *endpoint, const char *bucket, const char *key, Buffer *ret);
