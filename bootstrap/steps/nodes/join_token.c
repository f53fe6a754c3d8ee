/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/base64.h"
#include "base/time.h"
#include "cluster/csr.h"
#include "cluster/join.h"
#include "steps/api.h"
#include "steps/bucket.h"
#include "steps/kubelet/join.h"

/* join-token: the master's half of joining, the token that the API server knows. It is in the
 * bucket, for nodes, and has its Secret. A new master finds the token in the bucket and its Secret
 * in etcd, and goes on with them. */

#define SECRETS_PATH "/api/v1/namespaces/" JOIN_NAMESPACE "/secrets"
#define TOKENS_PATH  SECRETS_PATH "?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken"

typedef struct TokenScene {
        time_t now;
        JoinToken token;
        bool is_fresh;      /* the bucket has it, and it lives long enough */
        bool is_known;      /* to the API server */
        StringList expired; /* Secrets of expired tokens */
} TokenScene;

static void scene_done(TokenScene *scene)
{
        join_token_done(&scene->token);
        string_list_done(&scene->expired);
}

/* Reads a member of a Secret's data as text. Returns false if it is missing or not text. */
static bool secret_text(const json_t *secret, const char *name, Secret *ret)
{
        const json_t *value = json_object_get(json_object_get(secret, "data"), name);
        const char *text = json_string_value(value);
        return text && base64_decode(text, json_string_length(value), ret) >= 0 && ret->data &&
               strlen(ret->data) == ret->size;
}

static bool is_secret_of(const json_t *secret, const JoinToken *token)
{
        char name[32];
        _cleanup_secret_ Secret value = SECRET_INIT;
        join_secret_name(token, name);
        return streq(kube_api_text(secret, "metadata.name"), name) &&
               secret_text(secret, "token-secret", &value) && streq(value.data, token->secret);
}

/* Returns true if the Secret is of a token that we made, and the token has expired. */
static bool is_expired(const json_t *secret, time_t now)
{
        _cleanup_secret_ Secret groups = SECRET_INIT, expiration = SECRET_INIT;
        if (!secret_text(secret, "auth-extra-groups", &groups) ||
            !strstr(groups.data, CSR_GROUP_NODE) ||
            !secret_text(secret, "expiration", &expiration)) {
                return false;
        }
        struct timespec end;
        return time_parse(expiration.data, &end) >= 0 && end.tv_sec <= now;
}

static int visit_secret(const json_t *secret, void *userdata, Error *err)
{
        TokenScene *scene = userdata;
        if (is_expired(secret, scene->now)) {
                return string_list_append(&scene->expired, kube_api_text(secret, "metadata.name")) <
                                       0
                               ? error_oom(err)
                               : 0;
        }
        scene->is_known = scene->is_known || is_secret_of(secret, &scene->token);
        return 0;
}

static int join_token_look(const Boot *boot, StepContext *context, KubeApi *api, TokenScene *ret,
                           Error *err)
{
        ret->now = time(NULL);
        int r = join_get_object(boot, context, &ret->token, err);
        if (r < 0) {
                return r;
        }
        ret->is_fresh =
                r > 0 && join_token_is_fresh(&ret->token, ret->now, boot->config.join_token_s);
        return kube_api_list(api, TOKENS_PATH, false, step_wait(context), visit_secret, ret, err);
}

static bool is_so(const TokenScene *scene)
{
        return scene->is_fresh && scene->is_known && scene->expired.n == 0;
}

int join_token_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_kube_api_ KubeApi *api = NULL;
        _cleanup_(scene_done) TokenScene scene = {};
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = join_token_look(boot, context, api, &scene, err);
        }
        return r < 0 ? r : is_so(&scene);
}

/* Makes the API server know the token. */
static int make_known(KubeApi *api, StepContext *context, const JoinToken *token, Error *err)
{
        char path[128], name[32];
        json_auto_t *secret = join_secret_new(token);
        if (!secret) {
                return error_oom(err);
        }
        int r = kube_api_change(api, KUBE_API_POST, SECRETS_PATH, secret, step_wait(context), err);
        if (r == -EEXIST) {
                join_secret_name(token, name);
                (void) snprintf(path, sizeof(path), SECRETS_PATH "/%s", name);
                r = kube_api_change(api, KUBE_API_PUT, path, secret, step_wait(context), err);
        }
        return r == 0 ? error_set(err, ERROR_RETRY, ENOENT,
                                  "the API server has no namespace " JOIN_NAMESPACE " yet")
                      : r;
}

/* Makes a new token for nodes. The API server knows it before the bucket has it, so that every node
 * that reads it can use it. */
static int renew(const Boot *boot, StepContext *context, KubeApi *api, time_t now, Error *err)
{
        _cleanup_join_token_ JoinToken token = {};
        _cleanup_secret_ Secret text = SECRET_INIT;
        int r = join_token_new(now, boot->config.join_token_s, &token, err);
        if (r >= 0) {
                r = make_known(api, context, &token, err);
        }
        if (r >= 0) {
                r = join_document_format(&token, &text, err);
        }
        return r < 0 ? r
                     : bucket_put(boot, context, JOIN_OBJECT, &text, S3_UNCONDITIONAL, NULL, err);
}

int join_token_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_kube_api_ KubeApi *api = NULL;
        _cleanup_(scene_done) TokenScene scene = {};
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = join_token_look(boot, context, api, &scene, err);
        }
        if (r >= 0 && !(scene.is_fresh && scene.is_known)) {
                r = renew(boot, context, api, scene.now, err);
        }
        for (size_t i = 0; r >= 0 && i < scene.expired.n; i++) {
                _cleanup_free_ char *path =
                        string_format(SECRETS_PATH "/%s", scene.expired.items[i]);
                r = path ? kube_api_change(api, KUBE_API_DELETE, path, NULL, step_wait(context),
                                           err)
                         : error_oom(err);
        }
        return r < 0 ? r : 0;
}
