/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "aws/credentials.h"
#include "base/error.h"
#include "base/wait.h"
#include "host/http.h"

/* What every signed call shares: credentials, region, CA bundle, the learned clock offset, the
 * retry policy and the count of calls. Thread-safe. */
typedef struct AwsClient AwsClient;

/* credentials is borrowed. domain may be NULL. AWS_CA_BUNDLE is read here. */
int aws_client_new(Credentials *credentials, const char *region, const char *domain,
                   AwsClient **ret, Error *err);
void aws_client_free(AwsClient *client);
const char *aws_client_region(const AwsClient *client);

typedef struct AwsCall {
        const char *service; /* "ec2", "s3": signing name and endpoint */
        const char *region;  /* NULL: the client's */
        const char
                *operation; /* "AttachVolume": for messages, with "ec2:" in front as IAM names it */
        const char *resource; /* for a denial's message */
        const char *method;
        const char *url;           /* whole, encoded */
        const HttpHeader *headers; /* further ones, signed */
        size_t n_headers;
        const void *body;
        size_t body_size;
        size_t reply_max; /* 0: default */
        bool secret_reply;
        int accept_status[4]; /* besides 2xx: handed back to the caller, not an error; 0 ends */
} AwsCall;

/* Signs and sends, and repeats what errors_classify() calls ERROR_RETRY with full jitter (100 ms to
 * 5 s, at most 5 attempts, within the wait; slower for the whole process while AWS throttles);
 * expired credentials are renewed once; a skewed clock is learned from Date and corrected. A
 * service error comes back with aws_code, request_id and http_status filled, and names operation
 * and resource. */
int aws_client_call(AwsClient *client, const AwsCall *call, const Wait *wait, HttpReply *ret,
                    Error *err);

/* Seconds that this machine's clock is off, as learned from TLS-verified replies; *ret_known false
 * before the first reply. */
void aws_client_clock_offset(const AwsClient *client, bool *ret_known, int64_t *ret_seconds);
