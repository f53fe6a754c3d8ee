/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/cloudformation.h"

#include <errno.h>

#include "aws/query.h"
#include "base/string.h"

static const QueryApi api = { "cloudformation", "2010-05-15" };

int cloudformation_signal_resource(AwsClient *client, const char *stack, const char *resource,
                                   const char *unique_id, bool success, const Wait *wait,
                                   Error *err)
{
        const QueryParameter parameters[] = {
                { "StackName", stack },
                { "LogicalResourceId", resource },
                { "UniqueId", unique_id },
                { "Status", success ? "SUCCESS" : "FAILURE" },
        };
        _cleanup_xml_ XmlNode *root = NULL;
        Error failed = {};
        int r = query_call(client, &api, "SignalResource", stack, parameters, ELEMENTS(parameters),
                           wait, &root, &failed);
        if (r < 0 && streq(failed.aws_code, "ValidationError")) {
                failed.error = EALREADY;
                r = -EALREADY;
        }
        if (r < 0) {
                *err = failed;
        }
        return r < 0 ? r : 0;
}
