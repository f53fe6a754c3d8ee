/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "aws/credentials.h"
#include "aws/endpoints.h"
#include "aws/sigv4.h"
#include "base/error.h"
#include "base/wait.h"
#include "host/http.h"

/* The state that all signed calls share: credentials, region, CA bundle, the learned clock offset,
 * the retry policy and the count of calls. Thread-safe. */
typedef struct AwsClient AwsClient;

/* credentials is borrowed. domain may be NULL. AWS_CA_BUNDLE is read here. */
int aws_client_new(Credentials *credentials, const char *region, const char *domain,
                   AwsClient **ret, Error *err);
void aws_client_free(AwsClient *client);
const char *aws_client_region(const AwsClient *client);

typedef struct AwsCall {
        const char *service;   /* "ec2", "s3": signing name and endpoint */
        const char *region;    /* NULL: the client's */
        const char *operation; /* "AttachVolume": the IAM action without "ec2:"; for messages */
        const char *resource;  /* for error messages; may be NULL */
        const char *method;
        const char *url;           /* whole, encoded */
        const HttpHeader *headers; /* additional headers, signed too */
        size_t n_headers;
        const void *body;
        size_t body_size;
        size_t reply_max; /* 0: default */
        bool secret_reply;
        int accept_status[6]; /* returned like 2xx, not as an error; 0 ends the list */
} AwsCall;

/* Signs and sends the request. Retries errors that errors_is_passing() accepts, and connections
 * that failed, with full jitter (100 ms to 5 s, at most 5 attempts, not counting the two below,
 * within the wait). While AWS throttles, all threads together slow down. Refused keys are renewed
 * once, and a clock that the reply's Date shows to be wrong is corrected once, before a reply
 * counts as refused or accepted. If AWS answered, an error has aws_code, request_id and http_status
 * filled. Its message names operation and resource. */
int aws_client_call(AwsClient *client, const AwsCall *call, const Wait *wait, HttpReply *ret,
                    Error *err);

/* Signs the call by AWS's clock, as far as that is known, and sends nothing. Returns the keys that
 * it signed with, and the signature; the caller releases both. */
int aws_client_sign(AwsClient *client, const AwsCall *call, const Wait *wait, AwsKeys *ret_keys,
                    Sigv4Result *ret, Error *err);

/* Sends the call once, with its headers as they are: another has signed it. Returns AWS's reply,
 * whatever its status. Keeps to the client's pace. */
int aws_client_forward(AwsClient *client, const AwsCall *call, const Wait *wait, HttpReply *ret,
                       Error *err);

/* Sets *ret_seconds to the seconds that must be added to this machine's clock to get AWS's, by the
 * last reply that TLS verified. *ret_known is false before the first such reply. */
void aws_client_clock_offset(AwsClient *client, bool *ret_known, int64_t *ret_seconds);

/* Returns the time by AWS's clock; by this machine's clock while AWS's is not known. */
time_t aws_client_time(AwsClient *client);

/* Returns the number of requests sent so far, including retries. */
uint64_t aws_client_requests(AwsClient *client);

/* Resolves the endpoint of a service; region NULL: the client's. */
int aws_client_endpoint(const AwsClient *client, const char *service, const char *region,
                        Endpoint *ret, Error *err);
