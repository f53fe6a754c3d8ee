/* SPDX-License-Identifier: Apache-2.0 */
#include "host/etcd_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"

#define TIMEOUT_MS 10000
#define REPLY_MAX  ((size_t) 16 << 20)

static const struct {
        int code;
        ErrorClass class;
        int error;
} grpc_classes[] = {
        { GRPC_UNKNOWN, ERROR_RETRY, EIO },
        { GRPC_DEADLINE_EXCEEDED, ERROR_RETRY, ETIMEDOUT },
        { GRPC_PERMISSION_DENIED, ERROR_DENIED, EACCES },
        { GRPC_RESOURCE_EXHAUSTED, ERROR_RETRY, ENOSPC },
        { GRPC_UNIMPLEMENTED, ERROR_CONFIG, EOPNOTSUPP }, /* also what the gateway refuses */
        { GRPC_INTERNAL, ERROR_RETRY, EIO },
        { GRPC_UNAVAILABLE, ERROR_RETRY, EAGAIN },
        { GRPC_UNAUTHENTICATED, ERROR_DENIED, EACCES },
};

void etcd_answer_done(EtcdAnswer *answer)
{
        json_decref(answer->json);
        *answer = (EtcdAnswer) {};
}

bool etcd_says(const EtcdAnswer *answer, const char *text)
{
        return answer->code != GRPC_OK && strstr(answer->text, text);
}

int etcd_decode(const json_t *json, Buffer *ret)
{
        const char *text = json_is_string(json) ? json_string_value(json) : "";
        return base64_decode(text, strlen(text), ret);
}

static int append_json_string(Buffer *b, const char *s)
{
        int r = buffer_append(b, "\"", 1);
        for (; r == 0 && *s; s++) {
                unsigned char c = (unsigned char) *s;
                r = c < ' '                 ? buffer_append_format(b, "\\u%04x", c)
                    : c == '"' || c == '\\' ? buffer_append_format(b, "\\%c", c)
                                            : buffer_append(b, s, 1);
        }
        return r < 0 ? r : buffer_append(b, "\"", 1);
}

/* What jansson writes is never wiped, and a body may carry a password. */
int etcd_body_name(Buffer *b, const char *name)
{
        return buffer_append_format(b, "%s\"%s\":", b->size ? "," : "{", name);
}

int etcd_body_text(Buffer *b, const char *name, const char *text)
{
        int r = etcd_body_name(b, name);
        return r < 0 ? r : append_json_string(b, text);
}

int etcd_body_bytes(Buffer *b, const char *name, const void *data, size_t n)
{
        int r = etcd_body_name(b, name);
        r = r < 0 ? r : buffer_append(b, "\"", 1);
        r = r < 0 ? r : base64_encode(data, n, b);
        return r < 0 ? r : buffer_append(b, "\"", 1);
}

static int close_body(Buffer *b)
{
        return buffer_append_string(b, b->size ? "}" : "{}");
}

/* What etcd answers itself is JSON with a gRPC code; what its gateway or something before that
 * refuses is a line of text. */
static void read_failure(EtcdAnswer *answer, const Buffer *body)
{
        const char *text = json_string_value(json_object_get(answer->json, "error"));
        json_int_t code = json_integer_value(json_object_get(answer->json, "code"));
        answer->code = text && code > 0        ? (int) code
                       : answer->status >= 500 ? GRPC_UNAVAILABLE
                                               : GRPC_UNIMPLEMENTED;
        (void) snprintf(answer->text, sizeof(answer->text), "%s", text ? text : body->data);
        (void) string_strip_end(answer->text);
}

int etcd_post(const EtcdClient *client, const char *path, const Buffer *body, bool with_token,
              const Wait *wait, EtcdAnswer *ret, Error *err)
{
        char effect[128];
        (void) snprintf(effect, sizeof(effect), "etcd %s", path);
        _cleanup_free_ char *url = string_format("%s/v3/%s", client->endpoint, path);
        if (!url) {
                return error_oom(err);
        }
        HttpHeader token = { (char[]) { "Authorization" }, client->token.data };
        HttpRequest request = {
                .method = "POST",
                .url = url,
                .headers = &token,
                .n_headers = with_token && client->token.size ? 1 : 0,
                .body = body->data,
                .body_size = body->size,
                .tls = client->tls,
                .timeout_ms = TIMEOUT_MS,
                .reply_max = REPLY_MAX,
                .secret_reply = true,
                .effect = effect,
        };
        _cleanup_http_reply_ HttpReply reply = {};
        int r = http_exchange(&request, wait, &reply, err);
        if (r < 0) {
                return r;
        }
        EtcdAnswer answer = { .json = json_loadb(reply.body.data, reply.body.size, 0, NULL),
                              .status = reply.status };
        if (reply.status != 200) {
                read_failure(&answer, &reply.body);
        } else if (!json_is_object(answer.json)) {
                etcd_answer_done(&answer);
                return error_set(err, ERROR_RETRY, EBADMSG, "%s: reply is no JSON object", effect);
        }
        *ret = answer;
        return 0;
}

int etcd_failed(const EtcdAnswer *answer, const char *path, Error *err)
{
        ErrorClass class = ERROR_FATAL;
        int error = EINVAL;
        FOREACH_ARRAY(row, grpc_classes, ELEMENTS(grpc_classes)) {
                if (row->code == answer->code) {
                        class = row->class;
                        error = row->error;
                }
        }
        if (etcd_says(answer, ETCD_SAYS_NOBODY) || etcd_says(answer, ETCD_SAYS_WRONG_LOGIN)) {
                class = ERROR_DENIED; /* etcd calls these invalid arguments */
                error = EACCES;
        }
        int r = error_set(err, class, error, "etcd %s: %s (code %d)", path, answer->text,
                          answer->code);
        if (err) {
                err->http_status = answer->status;
        }
        return r;
}

static int keep_token(EtcdClient *client, const EtcdAnswer *answer, Error *err)
{
        const char *token = json_string_value(json_object_get(answer->json, "token"));
        if (!token) {
                return error_set(err, ERROR_RETRY, EBADMSG, "etcd auth/authenticate: no token");
        }
        client->token.wipe = true;
        int r = buffer_append_string(&client->token, token);
        char *copy;
        memcpy(&copy, &token, sizeof(copy)); /* jansson's own, about to be freed */
        explicit_bzero(copy, strlen(copy));
        return r < 0 ? error_oom(err) : 0;
}

/* Gets a token; where authentication is off there is none, and none is needed. */
static int login(EtcdClient *client, const Wait *wait, Error *err)
{
        static const char path[] = "auth/authenticate";
        _cleanup_secret_ Secret body = SECRET_INIT;
        _cleanup_etcd_answer_ EtcdAnswer answer = {};
        int r = etcd_body_text(&body, "name", client->user);
        r = r < 0 ? r : etcd_body_text(&body, "password", client->password ? client->password : "");
        r = r < 0 ? r : close_body(&body);
        if (r < 0) {
                return error_oom(err);
        }
        r = etcd_post(client, path, &body, false, wait, &answer, err);
        if (r < 0 || etcd_says(&answer, ETCD_SAYS_AUTH_OFF)) {
                return r;
        }
        return answer.code != GRPC_OK ? etcd_failed(&answer, path, err)
                                      : keep_token(client, &answer, err);
}

int etcd_call(EtcdClient *client, const char *path, Buffer *body, const Wait *wait, EtcdAnswer *ret,
              Error *err)
{
        int r = close_body(body);
        if (r < 0) {
                return error_oom(err);
        }
        for (bool again = false;; again = true) {
                if (client->user && !client->token.size) {
                        r = login(client, wait, err);
                        if (r < 0) {
                                return r;
                        }
                }
                EtcdAnswer answer = {};
                r = etcd_post(client, path, body, true, wait, &answer, err);
                if (r < 0) {
                        return r;
                }
                bool stale = answer.code == GRPC_UNAUTHENTICATED ||
                             etcd_says(&answer, ETCD_SAYS_BAD_TOKEN) ||
                             etcd_says(&answer, ETCD_SAYS_OLD_TOKEN) ||
                             etcd_says(&answer, ETCD_SAYS_NOBODY);
                if (again || !client->user || !stale) {
                        *ret = answer;
                        return 0;
                }
                etcd_answer_done(&answer);
                buffer_done(&client->token);
        }
}

int etcd_demand(EtcdClient *client, const char *path, Buffer *body, const char *forgiven,
                const Wait *wait, EtcdAnswer *ret, Error *err)
{
        _cleanup_etcd_answer_ EtcdAnswer answer = {};
        int r = etcd_call(client, path, body, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        if (answer.code != GRPC_OK && !(forgiven && etcd_says(&answer, forgiven))) {
                return etcd_failed(&answer, path, err);
        }
        if (ret) {
                *ret = answer;
                answer = (EtcdAnswer) {};
        }
        return 0;
}
