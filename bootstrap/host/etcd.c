/* SPDX-License-Identifier: Apache-2.0 */
#include "host/etcd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/etcd_internal.h"

#define HEALTH_TIMEOUT_MS 10000
#define LIST_MAX          5000

void etcd_client_done(EtcdClient *client)
{
        buffer_done(&client->token);
}

int etcd_is_healthy(EtcdClient *client, const Wait *wait, Error *err)
{
        _cleanup_free_ char *url = string_format("%s/health", client->endpoint);
        if (!url) {
                return error_oom(err);
        }
        HttpRequest request = { .method = "GET",
                                .url = url,
                                .tls = client->tls,
                                .timeout_ms = HEALTH_TIMEOUT_MS,
                                .effect = "etcd health" };
        _cleanup_http_reply_ HttpReply reply = {};
        int r = http_exchange(&request, wait, &reply, err);
        if (r == -ECONNREFUSED) {
                return 0;
        }
        if (r < 0) {
                return r;
        }
        json_auto_t *json = json_loadb(reply.body.data, reply.body.size, 0, NULL);
        const char *health = json_string_value(json_object_get(json, "health"));
        return reply.status == 200 && streq_ptr(health, "true");
}

static int range(EtcdClient *client, const json_t *body, const Wait *wait, EtcdAnswer *ret,
                 Error *err)
{
        return etcd_demand(client, "kv/range", body, NULL, wait, ret, err);
}

static int etcd_bad_value(int r, Error *err)
{
        return r == -ENOMEM ? error_oom(err)
                            : error_set(err, ERROR_RETRY, EBADMSG, "etcd's reply is malformed");
}

int etcd_get(EtcdClient *client, const char *key, const Wait *wait, Buffer *ret, Error *err)
{
        json_auto_t *body = json_pack("{s:o}", "key", etcd_bytes(key, strlen(key)));
        _cleanup_etcd_answer_ EtcdAnswer answer = {};
        int r = range(client, body, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        json_t *kv = json_array_get(json_object_get(answer.json, "kvs"), 0);
        if (!kv) {
                return 0;
        }
        r = etcd_decode(json_object_get(kv, "value"), ret);
        return r < 0 ? etcd_bad_value(r, err) : 1;
}

/* Returns the body that asks for all keys that begin with the prefix, or NULL when out of memory.
 * The range ends at the first key after them: the prefix without trailing 0xff bytes, its last byte
 * one higher. If no byte is left, the end is "\0", which means "to the last key" in etcd. */
static json_t *range_of(const char *prefix)
{
        size_t n = strlen(prefix);
        _cleanup_free_ char *end = strdup(prefix);
        if (!end) {
                return NULL;
        }
        while (n > 0 && (unsigned char) end[n - 1] == 0xff) {
                n--;
        }
        if (n > 0) {
                end[n - 1] = (char) (end[n - 1] + 1);
        } else {
                end[n++] = '\0';
        }
        return json_pack("{s:o, s:o, s:i}", "key", etcd_bytes(prefix, *prefix ? strlen(prefix) : 1),
                         "range_end", etcd_bytes(end, n), "limit", LIST_MAX + 1);
}

static int visit_one(const json_t *kv, EtcdVisit *visit, void *userdata, Error *err)
{
        _cleanup_buffer_ Buffer key = {}, value = { .wipe = true };
        int r = etcd_decode(json_object_get(kv, "key"), &key);
        if (r < 0) {
                return etcd_bad_value(r, err);
        }
        r = etcd_decode(json_object_get(kv, "value"), &value);
        if (r < 0) {
                return etcd_bad_value(r, err);
        }
        return visit(key.data, value.data, userdata, err);
}

int etcd_list(EtcdClient *client, const char *prefix, const Wait *wait, EtcdVisit *visit,
              void *userdata, Error *err)
{
        json_auto_t *body = range_of(prefix);
        _cleanup_etcd_answer_ EtcdAnswer answer = {};
        int r = range(client, body, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        json_t *kvs = json_object_get(answer.json, "kvs");
        if (json_array_size(kvs) > LIST_MAX) {
                return error_set(err, ERROR_FATAL, E2BIG, "etcd has more than %d keys below %s",
                                 LIST_MAX, prefix);
        }
        for (size_t i = 0; r >= 0 && i < json_array_size(kvs); i++) {
                r = visit_one(json_array_get(kvs, i), visit, userdata, err);
        }
        return r < 0 ? r : 0;
}

int etcd_put(EtcdClient *client, const char *key, const char *value, const Wait *wait, Error *err)
{
        json_auto_t *body = json_pack("{s:o, s:o}", "key", etcd_bytes(key, strlen(key)), "value",
                                      etcd_bytes(value, strlen(value)));
        return etcd_demand(client, "kv/put", body, NULL, wait, NULL, err);
}

/* Returns 1 if the role has exactly this permission, else 0. The gateway leaves out zero values,
 * and READ is zero. */
static int has_permission(const EtcdAnswer *role, const char *key, const char *range_end,
                          const char *permission)
{
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(role->json, "perm"), i, item) {
                _cleanup_buffer_ Buffer k = {}, end = {};
                const char *type = json_string_value(json_object_get(item, "permType"));
                int r = etcd_decode(json_object_get(item, "key"), &k);
                if (r < 0) {
                        return r;
                }
                r = etcd_decode(json_object_get(item, "range_end"), &end);
                if (r < 0) {
                        return r;
                }
                if (streq(type ? type : "READ", permission) && streq(k.data, key) &&
                    streq(end.data, strempty(range_end))) {
                        return 1;
                }
        }
        return 0;
}

/* Grants a permission. An empty range_end means that the permission is for the key alone. */
static int grant_permission(EtcdClient *client, const char *role, const char *key,
                            const char *range_end, const char *permission, const Wait *wait,
                            Error *err)
{
        const char *end = strempty(range_end);
        json_auto_t *body = json_pack("{s:s, s:{s:s, s:o, s:o}}", "name", role, "perm", "permType",
                                      permission, "key", etcd_bytes(key, strlen(key)), "range_end",
                                      etcd_bytes(end, strlen(end)));
        return etcd_demand(client, "auth/role/grant", body, NULL, wait, NULL, err);
}

/* Reads the role first, because each grant, even a repeated one, invalidates all tokens. */
int etcd_role_ensure(EtcdClient *client, const char *role, const char *key, const char *range_end,
                     const char *permission, const Wait *wait, Error *err)
{
        json_auto_t *look = json_pack("{s:s}", "role", role);
        json_auto_t *add = json_pack("{s:s}", "name", role);
        _cleanup_etcd_answer_ EtcdAnswer answer = {};
        int r = etcd_call(client, "auth/role/get", look, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        if (etcd_says(&answer, ETCD_SAYS_NO_ROLE)) {
                r = etcd_demand(client, "auth/role/add", add, ETCD_SAYS_ROLE_EXISTS, wait, NULL,
                                err);
        } else if (answer.code != GRPC_OK) {
                r = etcd_failed(&answer, "auth/role/get", err);
        } else if (key) {
                r = has_permission(&answer, key, range_end, permission);
                if (r != 0) {
                        return r < 0 ? etcd_bad_value(r, err) : 0;
                }
        }
        return r < 0 || !key
                       ? r
                       : grant_permission(client, role, key, range_end, permission, wait, err);
}

static bool has_role(const EtcdAnswer *user, const char *role)
{
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(user->json, "roles"), i, item) {
                if (streq_ptr(json_string_value(item), role)) {
                        return true;
                }
        }
        return false;
}

int etcd_user_ensure(EtcdClient *client, const char *user, const char *password, const char *role,
                     const Wait *wait, Error *err)
{
        json_auto_t *look = json_pack("{s:s}", "name", user);
        json_auto_t *add =
                password ? json_pack("{s:s, s:s}", "name", user, "password", password)
                         : json_pack("{s:s, s:{s:b}}", "name", user, "options", "no_password", 1);
        json_auto_t *grant = json_pack("{s:s, s:s}", "user", user, "role", role);
        _cleanup_etcd_answer_ EtcdAnswer answer = {};
        int r = etcd_call(client, "auth/user/get", look, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        if (etcd_says(&answer, ETCD_SAYS_NO_USER)) {
                r = etcd_demand(client, "auth/user/add", add, ETCD_SAYS_USER_EXISTS, wait, NULL,
                                err);
        } else if (answer.code != GRPC_OK) {
                r = etcd_failed(&answer, "auth/user/get", err);
        } else if (has_role(&answer, role)) {
                return 0;
        }
        return r < 0 ? r : etcd_demand(client, "auth/user/grant", grant, NULL, wait, NULL, err);
}

/* Reads a key without a token, because etcd 3.4 has no call that returns the setting. The gateway
 * does not pass on a certificate's name, so the request has no user, and etcd refuses it if
 * authentication is enabled. */
int etcd_auth_is_enabled(EtcdClient *client, const Wait *wait, Error *err)
{
        static const char path[] = "kv/range";
        json_auto_t *body = json_pack("{s:o}", "key", etcd_bytes("", 1));
        _cleanup_etcd_answer_ EtcdAnswer answer = {};
        int r = etcd_post(client, path, body, false, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        if (etcd_says(&answer, ETCD_SAYS_NOBODY) || answer.code == GRPC_PERMISSION_DENIED) {
                return 1;
        }
        return answer.code == GRPC_OK ? 0 : etcd_failed(&answer, path, err);
}

int etcd_auth_enable(EtcdClient *client, const Wait *wait, Error *err)
{
        json_auto_t *body = json_object();
        return etcd_demand(client, "auth/enable", body, NULL, wait, NULL, err);
}
