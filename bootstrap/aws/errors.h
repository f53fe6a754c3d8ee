/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "host/http.h"

/* What an AWS error code tells besides its class. */
enum {
        ERRORS_AGAIN = 1 << 0,      /* passing: the same call, a moment later, may work */
        ERRORS_THROTTLING = 1 << 1, /* AWS wants fewer calls */
        ERRORS_EXPIRED = 1 << 2,    /* the keys may be old: new ones may be accepted */
        ERRORS_SKEW = 1 << 3,       /* the clock may be wrong: compare the reply's Date */
        ERRORS_KEYS = 1 << 4,       /* the keys were not accepted: no matter of a policy */
        ERRORS_MAY_APPEAR =
                1 << 5,      /* what was just made: AWS's views of it agree only eventually */
        ERRORS_KMS = 1 << 6, /* the key that the volume or the object is encrypted with */
};

typedef struct ErrorsRow {
        const char *aws_code;
        ErrorClass class;
        unsigned flags;
} ErrorsRow;

/* The one table from AWS error code to class, for the functions below and for the test that walks
 * it.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
const ErrorsRow *errors_table(size_t *ret_n);

/* By the table; a code that is not in it: "….NotFound", "….Malformed" and "…LimitExceeded" are
 * ERROR_CONFIG, all else by HTTP status. */
ErrorClass errors_classify(int http_status, const char *aws_code);

/* Whether the client is to repeat the call by itself. An ERROR_RETRY without this waits for the
 * world to change (VolumeInUse): the caller's own pace decides. */
bool errors_is_passing(int http_status, const char *aws_code);

/* Whether the code tells that the keys are no longer good, that the clock may be skewed, that AWS
 * throttles. RequestExpired is both of the first two. */
bool errors_is_expired_credentials(const char *aws_code);
bool errors_is_clock_skew(const char *aws_code);
bool errors_is_throttling(int http_status, const char *aws_code);

/* Returns true if what the code says is missing may be there in a minute. */
bool errors_may_appear(const char *aws_code);

/* Fills *err from a reply that is not a success: code, message and request id from EC2's envelope
 * (Response/Errors/Error), S3's (Error), IAM's (ErrorResponse/Error), or the status alone where the
 * body is none of these. A denial names "service:Operation" and the resource, or the action that
 * AWS itself names (S3 says so when it is KMS that denies); where AWS names another policy than the
 * role's, that reason comes first. Returns a negative errno.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html */
int errors_from_reply(const HttpReply *reply, const char *service, const char *operation,
                      const char *resource, Error *err);
