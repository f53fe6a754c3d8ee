/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "aws/keys.h"
#include "base/error.h"
#include "base/string.h"
#include "host/http.h"

/* AWS Signature Version 4, header form: pure, no clock, no network.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html */

#define SIGV4_HEADERS_MAX 32

typedef struct Sigv4Request {
        const char *method;
        const char *path;          /* as it goes on the wire: percent-encoded, without query */
        const char *query;         /* as on the wire, without "?"; "" if none */
        const HttpHeader *headers; /* all headers to sign, Host among them */
        size_t n_headers;
        const void *body;
        size_t body_size;
        const char *region;
        const char *service;
        time_t now;
        bool double_encode_path; /* every service but S3 */
        bool normalize_path;     /* every service but S3 */
        bool sign_body_header;   /* adds x-amz-content-sha256 (S3 demands it) */
        bool omit_session_token; /* sign without the token and add it afterwards */
} Sigv4Request;

typedef struct Sigv4Result {
        Buffer canonical_request;
        Buffer string_to_sign;
        char authorization[1024]; /* the header's value */
        char amz_date[17];
        char body_sha256[65];
} Sigv4Result;

int sigv4_sign(const Sigv4Request *request, const AwsKeys *keys, Sigv4Result *ret, Error *err);
void sigv4_result_done(Sigv4Result *result);
#define _cleanup_sigv4_result_ _cleanup_(sigv4_result_done)

/* Percent-encodes all but A-Z a-z 0-9 - . _ ~ (and "/" where keep_slash), appended to *ret. */
int sigv4_uri_encode(const char *s, bool keep_slash, Buffer *ret);
