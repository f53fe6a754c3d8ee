/* SPDX-License-Identifier: Apache-2.0 */
#include "host/etcd_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"

#define TIMEOUT_MS 10000
#define REPLY_MAX  ((size_t) 16 << 20)

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

json_t *etcd_bytes(const void *data, size_t n)
{
        _cleanup_buffer_ Buffer text = { .wipe = true };
        return base64_encode(data, n, &text) < 0 ? NULL : json_string(text.data);
}

/* Fills in the code and the text of a failure. etcd itself answers with JSON and a gRPC code. Its
 * gateway, or a server in front of it, refuses with a line of text. */
static void read_failure(EtcdAnswer *answer, const Buffer *body)
{
        const char *text = json_string_value(json_object_get(answer->json, "error"));
        json_int_t code = json_integer_value(json_object_get(answer->json, "code"));
        answer->code = answer->status >= 500 ? GRPC_UNAVAILABLE : GRPC_UNIMPLEMENTED;
        if (text && code > 0) {
                answer->code = (int) code;
        }
        (void) snprintf(answer->text, sizeof(answer->text), "%s", text ? text : body->data);
        (void) string_strip_end(answer->text);
}

int etcd_post(const EtcdClient *client, const char *path, const json_t *body, bool with_token,
              const Wait *wait, EtcdAnswer *ret, Error *err)
{
        _cleanup_secret_ Secret text = SECRET_INIT;
        int r = json_write(body, JSON_COMPACT, &text, err);
        if (r < 0) {
                return r;
        }
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
                .body = text.data,
                .body_size = text.size,
                .tls = client->tls,
                .timeout_ms = TIMEOUT_MS,
                .reply_max = REPLY_MAX,
                .secret_reply = true,
                .effect = effect,
        };
        _cleanup_http_reply_ HttpReply reply = {};
        r = http_exchange(&request, wait, &reply, err);
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
        int error;
        ErrorClass class = grpc_class_from_code(answer->code, &error);
        if (etcd_says(answer, ETCD_SAYS_NOBODY) || etcd_says(answer, ETCD_SAYS_WRONG_LOGIN)) {
                class = ERROR_DENIED; /* etcd calls these invalid arguments */
                error = EACCES;
        }
        int r = error_set(err, class, error, "etcd %s: %s (code %d)", path, answer->text,
                          answer->code);
        err->http_status = answer->status;
        return r;
}

static int keep_token(EtcdClient *client, const EtcdAnswer *answer, Error *err)
{
        const char *token = json_string_value(json_object_get(answer->json, "token"));
        if (!token) {
                return error_set(err, ERROR_RETRY, EBADMSG, "etcd auth/authenticate: no token");
        }
        client->token.wipe = true;
        return buffer_append_string(&client->token, token) < 0 ? error_oom(err) : 0;
}

/* Gets a token; where authentication is off there is none, and none is needed. */
static int login(EtcdClient *client, const Wait *wait, Error *err)
{
        static const char path[] = "auth/authenticate";
        json_auto_t *body = json_pack("{s:s, s:s}", "name", client->user, "password",
                                      strempty(client->password));
        _cleanup_etcd_answer_ EtcdAnswer answer = {};
        int r = etcd_post(client, path, body, false, wait, &answer, err);
        if (r < 0 || etcd_says(&answer, ETCD_SAYS_AUTH_OFF)) {
                return r;
        }
        return answer.code != GRPC_OK ? etcd_failed(&answer, path, err)
                                      : keep_token(client, &answer, err);
}

int etcd_call(EtcdClient *client, const char *path, const json_t *body, const Wait *wait,
              EtcdAnswer *ret, Error *err)
{
        for (bool again = false;; again = true) {
                if (client->user && !client->token.size) {
                        int r = login(client, wait, err);
                        if (r < 0) {
                                return r;
                        }
                }
                EtcdAnswer answer = {};
                int r = etcd_post(client, path, body, true, wait, &answer, err);
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

int etcd_demand(EtcdClient *client, const char *path, const json_t *body, const char *forgiven,
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
