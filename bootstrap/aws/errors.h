/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "host/http.h"

/* The one table from HTTP status and AWS error code to class.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
ErrorClass errors_classify(int http_status, const char *aws_code);

/* Whether the code tells that the keys are no longer good, that the clock is skewed, that AWS
 * throttles. */
bool errors_is_expired_credentials(const char *aws_code);
bool errors_is_clock_skew(const char *aws_code);
bool errors_is_throttling(int http_status, const char *aws_code);

/* Fills *err from a reply that is not a success: code, message and request id from EC2's envelope
 * (Response/Errors/Error), S3's (Error), IAM's (ErrorResponse/Error), or the status alone where the
 * body is none of these. A denial names "service:Operation" and the resource. Returns a negative
 * errno. */
int errors_from_reply(const HttpReply *reply, const char *service, const char *operation,
                      const char *resource, Error *err);
