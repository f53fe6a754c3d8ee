/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "aws/client.h"
#include "aws/xml.h"
#include "base/error.h"
#include "base/wait.h"

/* AWS's Query APIs: parameters in the form of a POST, an answer in XML.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html */

typedef struct QueryApi {
        const char *service; /* "ec2" */
        const char *version; /* "2016-11-15" */
} QueryApi;

typedef struct QueryParameter {
        const char *name;
        const char *value;
} QueryParameter;

/* Makes one call, with aws_client_call()'s retries, and returns the parsed answer. resource is for
 * messages, and may be NULL. */
int query_call(AwsClient *client, const QueryApi *api, const char *operation, const char *resource,
               const QueryParameter *parameters, size_t n, const Wait *wait, XmlNode **ret,
               Error *err);
