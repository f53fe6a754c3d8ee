/* SPDX-License-Identifier: Apache-2.0 */
#include "host/kube_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "host/http.h"

#define CREDENTIALS_MAX  ((size_t) 64 << 10)
#define REPLY_MAX        ((size_t) 16 << 20)
#define PAGE_ITEMS       250
#define READY_TIMEOUT_MS 5000

#define METADATA_ONLY "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

struct KubeApi {
        char *server;
        char *ca_file;
        Secret certificate;
        Secret key;
        Secret authorization; /* the header's value; empty: none */
};

static const char *const method_names[_KUBE_API_METHOD_MAX] = {
        [KUBE_API_POST] = "POST",
        [KUBE_API_PUT] = "PUT",
        [KUBE_API_PATCH] = "PATCH",
        [KUBE_API_DELETE] = "DELETE",
};

void kube_api_free(KubeApi *api)
{
        if (!api) {
                return;
        }
        free(api->server);
        free(api->ca_file);
        buffer_done(&api->certificate);
        buffer_done(&api->key);
        buffer_done(&api->authorization);
        free(api);
}

static KubeApi *api_new(const char *server, const char *ca_file)
{
        KubeApi *api = calloc(1, sizeof(*api));
        if (!api) {
                return NULL;
        }
        api->certificate = api->key = api->authorization = SECRET_INIT;
        api->server = strdup(server);
        api->ca_file = strdup(ca_file);
        if (!api->server || !api->ca_file) {
                kube_api_free(api);
                return NULL;
        }
        return api;
}

/* Reads a file with credentials. A missing file is ERROR_RETRY. */
static int read_credentials(const char *path, Secret *ret, Error *err)
{
        int r = file_read(path, CREDENTIALS_MAX, ret, err);
        return r == -ENOENT ? error_set(err, ERROR_RETRY, ENOENT, "%s is not there", path) : r;
}

static int no_credentials(const char *path, const char *what, Error *err)
{
        return error_set(err, ERROR_CONFIG, EBADMSG, "%s has no %s", path, what);
}

int kube_api_open_file(const char *server, const char *ca_file, const char *pem_file, KubeApi **ret,
                       Error *err)
{
        _cleanup_kube_api_ KubeApi *api = api_new(server, ca_file);
        if (!api) {
                return error_oom(err);
        }
        int r = read_credentials(pem_file, &api->certificate, err);
        if (r < 0) {
                return r;
        }
        if (!api->certificate.data || !strstr(api->certificate.data, "-----BEGIN CERTIFICATE-")) {
                return no_credentials(pem_file, "certificate", err);
        }
        /* both members get the whole text; each reader takes its own block from it */
        if (!strstr(api->certificate.data, " PRIVATE KEY-----")) {
                return no_credentials(pem_file, "private key", err);
        }
        if (buffer_append(&api->key, api->certificate.data, api->certificate.size) < 0) {
                return error_oom(err);
        }
        *ret = TAKE(api);
        return 0;
}

/* Returns what follows a member's name and its colon, or NULL. A kubeconfig is JSON; the bucket of
 * an older cluster has one in YAML, without quotes. */
static const char *find_member(const char *text, const char *name)
{
        for (const char *found = strstr(text, name); found; found = strstr(found + 1, name)) {
                const char *end = found + strlen(name);
                end += *end == '"';
                if (*end == ':') {
                        return end + 1;
                }
        }
        return NULL;
}

/* Decodes the base64 that a member has. */
static int read_embedded(const char *path, const Secret *text, const char *name, Secret *ret,
                         Error *err)
{
        const char *value = find_member(strempty(text->data), name);
        if (!value) {
                return no_credentials(path, name, err);
        }
        value += strspn(value, "\" ");
        int r = base64_decode(value, strcspn(value, "\"\n"), ret);
        if (r == -ENOMEM) {
                return error_oom(err);
        }
        return r < 0 || ret->size == 0 ? no_credentials(path, name, err) : 0;
}

int kube_api_open_kubeconfig(const char *server, const char *ca_file, const char *kubeconfig,
                             KubeApi **ret, Error *err)
{
        _cleanup_kube_api_ KubeApi *api = api_new(server, ca_file);
        _cleanup_secret_ Secret text = SECRET_INIT;
        if (!api) {
                return error_oom(err);
        }
        int r = read_credentials(kubeconfig, &text, err);
        if (r >= 0) {
                r = read_embedded(kubeconfig, &text, "client-certificate-data", &api->certificate,
                                  err);
        }
        if (r >= 0) {
                r = read_embedded(kubeconfig, &text, "client-key-data", &api->key, err);
        }
        if (r < 0) {
                return r;
        }
        *ret = TAKE(api);
        return 0;
}

int kube_api_open_token(const char *server, const char *ca_file, const Secret *token, KubeApi **ret,
                        Error *err)
{
        _cleanup_kube_api_ KubeApi *api = api_new(server, ca_file);
        if (!api || buffer_append_string(&api->authorization, "Bearer ") < 0 ||
            buffer_append(&api->authorization, token->data, token->size) < 0) {
                return error_oom(err);
        }
        *ret = TAKE(api);
        return 0;
}

typedef struct Call {
        const char *method;
        const char *path; /* with its query */
        const char *accept;
        const char *content_type;
        const void *body;
        size_t body_size;
        uint64_t timeout_ms;
} Call;

static int kube_api_exchange(KubeApi *api, const Call *call, const Wait *wait, HttpReply *ret,
                             Error *err)
{
        _cleanup_free_ char *url = string_format("%s%s", api->server, call->path);
        _cleanup_free_ char *effect =
                string_format("API server %s %.*s", call->method, (int) strcspn(call->path, "?"),
                              call->path); /* messages omit the query */
        if (!url || !effect) {
                return error_oom(err);
        }
        char accept_name[] = "Accept", type_name[] = "Content-Type", accept[96], type[64];
        char authorization_name[] = "Authorization";
        (void) snprintf(accept, sizeof(accept), "%s",
                        call->accept ? call->accept : "application/json");
        HttpHeader headers[3] = { { accept_name, accept } };
        size_t n_headers = 1;
        if (call->content_type) {
                (void) snprintf(type, sizeof(type), "%s", call->content_type);
                headers[n_headers++] = (HttpHeader) { type_name, type };
        }
        if (api->authorization.size > 0) {
                headers[n_headers++] = (HttpHeader) { authorization_name, api->authorization.data };
        }
        const HttpRequest request = {
                .method = call->method,
                .url = url,
                .headers = headers,
                .n_headers = n_headers,
                .body = call->body,
                .body_size = call->body_size,
                .tls = { .ca_file = api->ca_file,
                         .cert_pem = api->certificate.data,
                         .key_pem = api->key.data },
                .timeout_ms = call->timeout_ms,
                .reply_max = REPLY_MAX,
                .secret_reply = true,
                .effect = effect,
        };
        return http_exchange(&request, wait, ret, err);
}

static const struct {
        int status;
        ErrorClass class;
        int error;
} status_classes[] = {
        { 401, ERROR_DENIED, EACCES },   { 403, ERROR_DENIED, EACCES },
        { 408, ERROR_RETRY, ETIMEDOUT }, { 409, ERROR_RETRY, EEXIST },
        { 410, ERROR_RETRY, ESTALE }, /* the next page of a list has expired */
        { 429, ERROR_RETRY, EAGAIN },
};

static ErrorClass class_of_status(int status, int *ret_error)
{
        FOREACH_ARRAY(row, status_classes, ELEMENTS(status_classes)) {
                if (row->status == status) {
                        *ret_error = row->error;
                        return row->class;
                }
        }
        *ret_error = status >= 500 ? EIO : EINVAL;
        return status >= 500 ? ERROR_RETRY : ERROR_FATAL;
}

/* Returns the error of a refusal, with the API server's own message (of a Status object).
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
static int kube_api_refused(const Call *call, const HttpReply *reply, Error *err)
{
        int error;
        ErrorClass class = class_of_status(reply->status, &error);
        json_auto_t *status = json_loadb(reply->body.data, reply->body.size, 0, NULL);
        const char *message = kube_api_text(status, "message");
        int r = error_set(err, class, error, "API server %s %.*s: status %d: %.400s", call->method,
                          (int) strcspn(call->path, "?"), call->path, reply->status,
                          *message ? message : "no message");
        err->http_status = reply->status;
        return r;
}

int kube_api_is_ready(KubeApi *api, const Wait *wait, Error *err)
{
        const Call call = { .method = "GET",
                            .path = "/readyz",
                            .accept = "text/plain, application/json",
                            .timeout_ms = READY_TIMEOUT_MS };
        _cleanup_http_reply_ HttpReply reply = {};
        int r = kube_api_exchange(api, &call, wait, &reply, err);
        if (r == -ECONNREFUSED || r == -ECONNRESET || r == -ETIMEDOUT) {
                return 0;
        }
        if (r < 0) {
                return r;
        }
        if (reply.status == 401 || reply.status == 403) {
                return kube_api_refused(&call, &reply, err);
        }
        return reply.status == 200 && streq(reply.body.data, "ok");
}

/* Returns 1 and the reply's object, or 0 for 404. ret may be NULL. */
static int call_json(KubeApi *api, const Call *call, const Wait *wait, json_t **ret, Error *err)
{
        _cleanup_http_reply_ HttpReply reply = {};
        int r = kube_api_exchange(api, call, wait, &reply, err);
        if (r < 0) {
                return r;
        }
        if (reply.status == 404) {
                return 0;
        }
        if (reply.status < 200 || reply.status > 299) {
                return kube_api_refused(call, &reply, err);
        }
        if (!ret) {
                return 1;
        }
        json_t *json = json_loadb(reply.body.data, reply.body.size, 0, NULL);
        if (!json_is_object(json)) {
                json_decref(json);
                return error_set(err, ERROR_RETRY, EBADMSG,
                                 "API server %s %.*s: the reply is no object", call->method,
                                 (int) strcspn(call->path, "?"), call->path);
        }
        *ret = json;
        return 1;
}

int kube_api_get(KubeApi *api, const char *path, const Wait *wait, json_t **ret, Error *err)
{
        const Call call = { .method = "GET", .path = path };
        return call_json(api, &call, wait, ret, err);
}

/* Gets one page. *next gets the token of the next page, empty after the last one. */
static int list_page(KubeApi *api, const char *path, const char *accept, const Wait *wait,
                     Buffer *next, json_t **ret, Error *err)
{
        const char *name = next->size ? "&continue=" : "", *value = strempty(next->data);
        char limit[24] = "";
        if (!strstr(path, "limit=")) {
                (void) snprintf(limit, sizeof(limit), "%climit=%d", strchr(path, '?') ? '&' : '?',
                                PAGE_ITEMS);
        }
        _cleanup_free_ char *paged = string_format("%s%s%s%s", path, limit, name, value);
        if (!paged) {
                return error_oom(err);
        }
        const Call call = { .method = "GET", .path = paged, .accept = accept };
        json_auto_t *page = NULL;
        int r = call_json(api, &call, wait, &page, err);
        if (r == 0) {
                return error_set(err, ERROR_FATAL, ENOENT, "API server: there is no %s", path);
        }
        if (r < 0) {
                return r;
        }
        const char *token = kube_api_text(page, "metadata.continue");
        /* the token goes into a query unescaped */
        if (token[strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-_")]) {
                return error_set(err, ERROR_RETRY, EBADMSG, "API server: a page without a next");
        }
        buffer_done(next);
        if (*token && buffer_append_string(next, token) < 0) {
                return error_oom(err);
        }
        *ret = TAKE(page);
        return 0;
}

int kube_api_list(KubeApi *api, const char *path, bool metadata_only, const Wait *wait,
                  KubeApiVisit *visit, void *userdata, Error *err)
{
        _cleanup_buffer_ Buffer next = {};
        size_t seen = 0;
        do {
                json_auto_t *page = NULL;
                int r = list_page(api, path, metadata_only ? METADATA_ONLY : NULL, wait, &next,
                                  &page, err);
                const json_t *items = json_object_get(page, "items");
                seen += json_array_size(items);
                if (r >= 0 && seen > KUBE_API_LIST_MAX) {
                        return error_set(err, ERROR_FATAL, E2BIG,
                                         "API server: more than %d items at %s", KUBE_API_LIST_MAX,
                                         path);
                }
                for (size_t i = 0; r == 0 && i < json_array_size(items); i++) {
                        r = visit(json_array_get(items, i), userdata, err);
                }
                if (r != 0) {
                        return r < 0 ? r : 0;
                }
        } while (next.size > 0);
        return 0;
}

int kube_api_change(KubeApi *api, KubeApiMethod method, const char *path, const json_t *body,
                    const Wait *wait, Error *err)
{
        _cleanup_secret_ Secret text = SECRET_INIT; /* a body may be a Secret of the cluster */
        int r = body ? json_write(body, JSON_COMPACT, &text, err) : 0;
        if (r < 0) {
                return r;
        }
        const Call call = {
                .method = method_names[method],
                .path = path,
                .content_type = method == KUBE_API_PATCH ? "application/merge-patch+json"
                                                         : "application/json",
                .body = text.data,
                .body_size = text.size,
        };
        return call_json(api, &call, wait, NULL, err);
}

const char *kube_api_text(const json_t *object, const char *path)
{
        while (object && *path) {
                size_t n = strcspn(path, ".");
                object = json_object_getn(object, path, n);
                path += n + (path[n] == '.');
        }
        const char *text = json_string_value(object);
        return strempty(text);
}
