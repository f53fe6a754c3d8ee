/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "aws/client.h"
#include "base/error.h"
#include "base/wait.h"

/* The one call of CloudFormation's API that an instance makes of its own: it says how its launch
 * ended, for a creation or update policy that waits. The API takes no reason.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SignalResource.html
 *
 * unique_id is the instance's id, by which CloudFormation counts a launch once. stack is a name or
 * an id, resource the logical id in its template. -EALREADY (ERROR_CONFIG) where the stack takes no
 * such signal: it does not wait (any more), has had this one, or does not know the resource; the
 * message is CloudFormation's own. */
int cloudformation_signal_resource(AwsClient *client, const char *stack, const char *resource,
                                   const char *unique_id, bool success, const Wait *wait,
                                   Error *err);
