/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/string.h"
#include "base/wait.h"

/* HTTP exchanges by libcurl; this program speaks HTTP only through them. Every exchange has a total
 * deadline, a cap on the reply, and TLS 1.2 or later with verification. There are no redirects, no
 * proxy from the environment, no signals, no decoding. */

#define HTTP_REPLY_MAX_DEFAULT ((size_t) 4 << 20)
#define HTTP_HEADERS_MAX       64

typedef struct HttpHeader {
        char *name; /* lower case in replies */
        char *value;
} HttpHeader;

typedef struct HttpTls {
        const char *ca_file;  /* PEM bundle; NULL: the system's */
        const char *cert_pem; /* client certificate and key in memory, NULL: none */
        const char *key_pem;
} HttpTls;

typedef struct HttpRequest {
        const char *method; /* GET, PUT, POST, DELETE, HEAD */
        const char *url;
        const char *unix_socket;   /* NULL: TCP */
        bool http2;                /* HTTP/2 from the first byte (RFC 9113, 3.3); else HTTP/1.1 */
        const HttpHeader *headers; /* sent as they are; "Host" overrides curl's */
        size_t n_headers;
        const void *body; /* may be NULL */
        size_t body_size;
        HttpTls tls;
        uint64_t timeout_ms; /* for the whole exchange; 0: 30 s. The Wait may end it sooner */
        uint64_t connect_timeout_ms; /* 0: 5 s */
        size_t reply_max;            /* bytes; 0: HTTP_REPLY_MAX_DEFAULT */
        bool secret_reply;           /* the reply's buffer is wiped when released */
        const char *effect; /* how the request is named in messages, e.g. "ec2 AttachVolume"; NULL:
                               method and URL */
} HttpRequest;

typedef struct HttpReply {
        int status;
        HttpHeader headers[HTTP_HEADERS_MAX]; /* of the final reply, then its trailers; more are
                                                 dropped */
        size_t n_headers;
        Buffer body;  /* always terminated */
        int64_t date; /* the Date header as seconds since 1970, 0 if absent or malformed */
} HttpReply;

/* Must be called once per process, before threads start. SIGPIPE is ignored from then on. */
int http_init(Error *err);
void http_done(void);

/* Returns 0 when a complete reply has arrived, whatever its status; the caller judges the status.
 * Fails with the class that http_class_from_curl() gives (and -ETIMEDOUT, -ECANCELED,
 * -ECONNREFUSED, -EFBIG or the like, so that callers can tell "nobody listens" from other
 * failures; -ECONNRESET is a connection or a stream of HTTP/2 that ended before the reply did). A
 * stop request ends the exchange within 100 ms. *ret is untouched on failure. Connections are kept
 * alive and reused per thread, but not those of HTTP/2. */
int http_exchange(const HttpRequest *request, const Wait *wait, HttpReply *ret, Error *err);

/* Returns the value of a header of the reply (name in lower case), or NULL. */
const char *http_reply_header(const HttpReply *reply, const char *name);

void http_reply_done(HttpReply *reply);
#define _cleanup_http_reply_ _cleanup_(http_reply_done)

/* Returns the class and the errno of a CURLcode, from the only table of them
 * (http://curl.se/libcurl/c/libcurl-errors.html). */
ErrorClass http_class_from_curl(int code, int *ret_errno);
