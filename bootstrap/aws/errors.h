/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "host/http.h"

/* Properties of an AWS error code besides its class. */
enum {
        ERRORS_AGAIN = 1 << 0,      /* passing: the same call may work a moment later */
        ERRORS_THROTTLING = 1 << 1, /* AWS wants fewer calls */
        ERRORS_EXPIRED = 1 << 2,    /* the keys may be old: new ones may be accepted */
        ERRORS_SKEW = 1 << 3,       /* the clock may be wrong: compare the reply's Date */
        ERRORS_KEYS = 1 << 4,       /* AWS did not accept the keys: no policy is the cause */
        ERRORS_MAY_APPEAR = 1 << 5, /* may just have been made: AWS is eventually consistent */
        ERRORS_KMS = 1 << 6,        /* about the KMS key of the volume or the object */
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

/* Returns the class by the table. For a code that is not in the table: "….NotFound", "….Malformed"
 * and "…LimitExceeded" are ERROR_CONFIG, the HTTP status decides all others. */
ErrorClass errors_classify(int http_status, const char *aws_code);

/* Returns true if the client should retry the call itself. Any other ERROR_RETRY (VolumeInUse)
 * needs a change elsewhere first: the caller retries it at its own pace. */
bool errors_is_passing(int http_status, const char *aws_code);

/* Return true if the code means that the keys may have expired, that the clock may be skewed, or
 * that AWS throttles. RequestExpired is both of the first two. */
bool errors_is_expired_credentials(const char *aws_code);
bool errors_is_clock_skew(const char *aws_code);
bool errors_is_throttling(int http_status, const char *aws_code);

/* Returns true if the resource that the code reports as missing may appear within a minute. */
bool errors_may_appear(const char *aws_code);

/* Fills *err from a reply that is not a success: code, message and request id from EC2's envelope
 * (Response/Errors/Error), S3's (Error) or IAM's (ErrorResponse/Error). For any other body, the
 * message has the status, and the beginning of a body that is not XML. The message of a denial
 * names "service:Operation" and the resource, or the action that AWS itself names (S3 does so if
 * KMS denies). If AWS names another policy than the role's, that reason comes first. Returns a
 * negative errno.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html */
int errors_from_reply(const HttpReply *reply, const char *service, const char *operation,
                      const char *resource, Error *err);
