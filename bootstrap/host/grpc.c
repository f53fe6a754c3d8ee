/* SPDX-License-Identifier: Apache-2.0 */
#include "host/grpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A message's prefix: a byte that is 1 if the message is compressed, and its length in four bytes,
 * the highest first. */
#define PREFIX_BYTES 5

static const struct {
        int code;
        ErrorClass class;
        int error;
} grpc_classes[] = {
        { GRPC_CANCELLED, ERROR_RETRY, EIO }, /* by a service that ends */
        { GRPC_UNKNOWN, ERROR_RETRY, EIO },
        { GRPC_DEADLINE_EXCEEDED, ERROR_RETRY, ETIMEDOUT },
        { GRPC_PERMISSION_DENIED, ERROR_DENIED, EACCES },
        { GRPC_RESOURCE_EXHAUSTED, ERROR_RETRY, ENOSPC },
        { GRPC_ABORTED, ERROR_RETRY, EAGAIN },
        { GRPC_UNIMPLEMENTED, ERROR_CONFIG, EOPNOTSUPP }, /* also what etcd's gateway refuses */
        { GRPC_INTERNAL, ERROR_RETRY, EIO },
        { GRPC_UNAVAILABLE, ERROR_RETRY, EAGAIN },
        { GRPC_UNAUTHENTICATED, ERROR_DENIED, EACCES },
};

static const struct {
        int status;
        GrpcCode code;
} http_codes[] = {
        { 400, GRPC_INTERNAL },      { 401, GRPC_UNAUTHENTICATED }, { 403, GRPC_PERMISSION_DENIED },
        { 404, GRPC_UNIMPLEMENTED }, { 429, GRPC_UNAVAILABLE },     { 502, GRPC_UNAVAILABLE },
        { 503, GRPC_UNAVAILABLE },   { 504, GRPC_UNAVAILABLE },
};

ErrorClass grpc_class_from_code(int code, int *ret_errno)
{
        FOREACH_ARRAY(row, grpc_classes, ELEMENTS(grpc_classes)) {
                if (row->code == code) {
                        *ret_errno = row->error;
                        return row->class;
                }
        }
        *ret_errno = EINVAL;
        return ERROR_FATAL;
}

void grpc_answer_done(GrpcAnswer *answer)
{
        buffer_done(&answer->message);
        *answer = (GrpcAnswer) {};
}

void grpc_copy_text(const char *data, size_t n, char *ret, size_t size)
{
        size_t used = 0;
        for (; used < n && used < size - 1; used++) {
                unsigned char c = (unsigned char) data[used];
                ret[used] = (char) (c < ' ' || c == 0x7f ? ' ' : c);
        }
        ret[used] = '\0';
}

/* Returns the value of a hexadecimal digit, or -1. */
static int hex_value(char c)
{
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *found = c ? strchr(digits, c) : NULL;
        return found ? (int) (found - digits) % 16 : -1;
}

/* Decodes grpc-message, in which a percent sign and two digits stand for a byte. Anything else
 * stands for itself, also a percent sign without digits. The text is cut at size - 1 bytes. */
static void copy_percent_decoded(const char *text, char *ret, size_t size)
{
        size_t used = 0;
        while (*text && used < size - 1) {
                int high = *text == '%' ? hex_value(text[1]) : -1;
                int low = high >= 0 ? hex_value(text[2]) : -1;
                ret[used++] = (char) (low >= 0 ? 16 * high + low : *text);
                text += low >= 0 ? 3 : 1;
        }
        grpc_copy_text(ret, used, ret, size);
}

/* Returns the last header of that name, or NULL: a trailer comes after the headers. */
static const char *last_header(const HttpReply *reply, const char *name)
{
        const char *value = NULL;
        FOREACH_ARRAY(header, reply->headers, reply->n_headers) {
                value = streq_ptr(header->name, name) ? header->value : value;
        }
        return value;
}

static int code_from_http(int status)
{
        FOREACH_ARRAY(row, http_codes, ELEMENTS(http_codes)) {
                if (row->status == status) {
                        return row->code;
                }
        }
        return GRPC_UNKNOWN;
}

/* Reads the code. A reply with status 200 that ends without one was cut. */
static int read_code(const HttpReply *reply, int *ret, Error *err)
{
        const char *text = last_header(reply, "grpc-status");
        if (!text && reply->status == 200) {
                return error_set(err, ERROR_RETRY, EBADMSG, "the reply has no grpc-status");
        }
        if (!text) {
                *ret = code_from_http(reply->status);
                return 0;
        }
        uint64_t code = 0;
        bool valid = string_parse_u64(text, _GRPC_CODE_MAX - 1, &code) == 0;
        *ret = valid ? (int) code : GRPC_UNKNOWN;
        return 0;
}

/* Copies the reply's one message, without its prefix. */
static int read_message(const Buffer *body, Buffer *ret, Error *err)
{
        const unsigned char *prefix = (const unsigned char *) body->data;
        if (body->size < PREFIX_BYTES) {
                return error_set(err, ERROR_RETRY, EBADMSG, "the reply has no message");
        }
        if (prefix[0] != 0) {
                return error_set(err, ERROR_RETRY, EBADMSG, "the reply's message is compressed");
        }
        size_t said = (size_t) prefix[1] << 24 | (size_t) prefix[2] << 16 |
                      (size_t) prefix[3] << 8 | prefix[4];
        size_t there = body->size - PREFIX_BYTES;
        if (said != there) {
                return error_set(err, ERROR_RETRY, EBADMSG,
                                 "the reply's message has %zu bytes, not the %zu that it says",
                                 there, said);
        }
        return buffer_append(ret, body->data + PREFIX_BYTES, there) < 0 ? error_oom(err) : 0;
}

/* Copies the reason of a failure. A proxy, or another kind of server, gives none. */
static void read_reason(const HttpReply *reply, char *ret, size_t size)
{
        const char *text = last_header(reply, "grpc-message");
        copy_percent_decoded(strempty(text), ret, size);
        if (!*ret) {
                (void) snprintf(ret, size, "HTTP status %d, no reason given", reply->status);
        }
}

int grpc_read_reply(const HttpReply *reply, GrpcAnswer *ret, Error *err)
{
        GrpcAnswer answer = { .message.wipe = true };
        int r = read_code(reply, &answer.code, err);
        if (r < 0) {
                return r;
        }
        if (answer.code != GRPC_OK) {
                read_reason(reply, answer.text, sizeof(answer.text));
        } else {
                r = read_message(&reply->body, &answer.message, err);
                if (r < 0) {
                        return r;
                }
        }
        *ret = answer;
        return 0;
}

/* Makes the request's body: the prefix and the message. */
static int make_body(const Buffer *message, Buffer *ret, Error *err)
{
        if (message->size > UINT32_MAX) {
                return error_set(err, ERROR_FATAL, EFBIG, "request too large");
        }
        uint32_t n = (uint32_t) message->size;
        const unsigned char prefix[PREFIX_BYTES] = { 0, (unsigned char) (n >> 24),
                                                     (unsigned char) (n >> 16),
                                                     (unsigned char) (n >> 8), (unsigned char) n };
        if (buffer_append(ret, prefix, sizeof(prefix)) < 0 ||
            buffer_append(ret, message->data, message->size) < 0) {
                return error_oom(err);
        }
        return 0;
}

/* Asks again, without a message, whether the service knows the method. A service that does not
 * answers at once, and resets the stream if it has not seen the end of the request yet.
 * libcurl 7.88 loses that answer if the reset comes with it, though RFC 9113 (8.1) says that a
 * client must not. This request ends with its head. Returns 0 and the reply if the method is
 * unknown, else -ECONNRESET with *err as it was. */
static int ask_without_message(HttpRequest request, const Wait *wait, HttpReply *ret)
{
        _cleanup_http_reply_ HttpReply reply = {};
        _cleanup_grpc_answer_ GrpcAnswer answer = {};
        request.body = NULL;
        request.body_size = 0;
        if (http_exchange(&request, wait, &reply, ERROR_IGNORED) < 0 ||
            grpc_read_reply(&reply, &answer, ERROR_IGNORED) < 0 ||
            answer.code != GRPC_UNIMPLEMENTED) {
                return -ECONNRESET; /* the first failure is the one to report */
        }
        *ret = reply;
        reply = (HttpReply) {};
        return 0;
}

int grpc_call(const GrpcCall *call, const Wait *wait, GrpcAnswer *ret, Error *err)
{
        char url[256], effect[256];
        _cleanup_buffer_ Buffer body = {};
        int r = make_body(call->message, &body, err);
        if (r < 0) {
                return r;
        }
        (void) snprintf(url, sizeof(url), "http://localhost/%s", call->method);
        (void) snprintf(effect, sizeof(effect), "grpc %s", call->method);
        HttpHeader headers[] = { { (char[]) { "content-type" }, (char[]) { "application/grpc" } },
                                 { (char[]) { "te" }, (char[]) { "trailers" } } };
        HttpRequest request = {
                .method = "POST",
                .url = url,
                .unix_socket = call->socket,
                .http2 = true,
                .headers = headers,
                .n_headers = ELEMENTS(headers),
                .body = body.data,
                .body_size = body.size,
                .timeout_ms = call->timeout_ms,
                .reply_max = call->reply_max + PREFIX_BYTES,
                .secret_reply = true,
                .effect = effect,
        };
        _cleanup_http_reply_ HttpReply reply = {};
        r = http_exchange(&request, wait, &reply, err);
        if (r == -ECONNRESET) {
                r = ask_without_message(request, wait, &reply);
        }
        if (r < 0) {
                return r;
        }
        r = grpc_read_reply(&reply, ret, err);
        return r < 0 ? error_prefix(err, "%s at %s", effect, call->socket) : 0;
}
