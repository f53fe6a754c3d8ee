/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "aws/client.h"
#include "base/error.h"
#include "base/wait.h"

/* Tells CloudFormation how this instance's launch ended, for a creation or update policy that waits
 * for that signal. An instance makes no other call of CloudFormation's API. The API takes no reason
 * for a failure.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SignalResource.html
 *
 * unique_id is the instance's id, by which CloudFormation counts a launch once. stack is a name or
 * an id, resource is the logical id in the stack's template. Returns -EALREADY (ERROR_CONFIG) if
 * the stack takes no such signal: it does not wait (any more), has had this signal, or does not
 * know the resource. The message then has CloudFormation's own text. */
int cloudformation_signal_resource(AwsClient *client, const char *stack, const char *resource,
                                   const char *unique_id, bool success, const Wait *wait,
                                   Error *err);
