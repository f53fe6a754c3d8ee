/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "aws/sts.h"
#include "base/digest.h"
#include "base/file.h"
#include "cluster/certificate.h"
#include "cluster/csr.h"
#include "steps/api.h"
#include "steps/bucket.h"
#include "steps/kubelet/join.h"

/* kubelet-certificate: kubelet has a certificate of this machine's Node.
 *
 * The daemon gets it before kubelet starts, so kubelet needs no token: a kubelet that starts with
 * its certificate registers at once, and one that starts without it looks for it every 10 s
 * (UpdateTransport() in
 * https://github.com/kubernetes/kubernetes/blob/v1.20.2/pkg/kubelet/certificate/transport.go). */

/* kubelet renews it long before: when 70 % to 90 % of this time have passed.
 * https://kubernetes.io/docs/tasks/tls/certificate-rotation/ */
#define CERTIFICATE_DAYS 7

/* The master takes a proof for four minutes. */
#define ANSWER_S 240

#define PEM_BYTES_MAX ((size_t) 64 << 10)

#define CSRS_PATH "/apis/certificates.k8s.io/v1/certificatesigningrequests"

static const StepRetry answer_looks = { .first_ms = 250, .max_ms = 1000 };

int join_get_object(const Boot *boot, StepContext *context, JoinToken *ret, Error *err)
{
        _cleanup_secret_ Secret text = SECRET_INIT;
        int r = bucket_get(boot, context, JOIN_OBJECT, JOIN_DOCUMENT_BYTES_MAX, &text, NULL, err);
        if (r <= 0) {
                return r;
        }
        r = join_document_parse(text.data, text.size, ret, err);
        if (r == -EBADMSG) {
                return 0;
        }
        return r < 0 ? r : 1;
}

/* A node's request for its certificate. */
typedef struct Asking {
        Boot *boot;
        JoinToken token;
        KubeApi *api;
        char name[64]; /* random: only who knows it can read the object */
        Secret pem;
} Asking;

static void asking_done(Asking *asking)
{
        join_token_done(&asking->token);
        kube_api_free(asking->api);
        buffer_done(&asking->pem);
}

/* Returns 1 once the bucket has a token that can be used, else 0. */
static int take_token(void *userdata, StepContext *context, Error *err)
{
        Asking *asking = userdata;
        int r = join_get_object(asking->boot, context, &asking->token, err);
        if (r < 0 || (r > 0 && join_token_is_alive(&asking->token, time(NULL)))) {
                return r;
        }
        step_waiting_for(context, "the master to leave a join token that is %s",
                         r > 0 ? "not expired" : "there");
        return 0;
}

static int open_api(Asking *asking, Error *err)
{
        char server[API_SERVER_MAX];
        _cleanup_secret_ Secret token = SECRET_INIT;
        if (buffer_append_format(&token, "%s.%s", asking->token.id, asking->token.secret) < 0) {
                return error_oom(err);
        }
        api_server(asking->boot, server);
        return kube_api_open_token(server, SECRETS_DIR "/ca.crt", &token, &asking->api, err);
}

/* A token may be unknown for a moment, and a new cluster makes its roles a little later. */
static int refused_for_now(int r, Error *err)
{
        if (r < 0 && err->class == ERROR_DENIED) {
                err->class = ERROR_RETRY;
        }
        return r;
}

/* Proves by STS that this instance made the request. */
static int prove(const Boot *boot, StepContext *context, const Buffer *pem, Buffer *ret, Error *err)
{
        char sha256[65];
        digest_sha256_hex(pem->data, pem->size, sha256);
        const StsClaim claim = { .cluster_id = boot->cluster_id, .request_sha256 = sha256 };
        return sts_prove(boot->aws, &claim, step_wait(context), ret, err);
}

static int send_request(Asking *asking, StepContext *context, EVP_PKEY *key, Error *err)
{
        char user[NODE_USER_MAX];
        _cleanup_buffer_ Buffer pem = {}, proof = {};
        _cleanup_secret_ Secret draw = SECRET_INIT;
        int r = secret_random_hex(16, &draw, err);
        if (r < 0) {
                return r;
        }
        (void) snprintf(asking->name, sizeof(asking->name), "node-csr-%s", draw.data);
        node_name_user(asking->boot->node_name, user);
        r = certificate_request_to_pem(key, user, NODE_GROUP, &pem, err);
        if (r >= 0) {
                r = prove(asking->boot, context, &pem, &proof, err);
        }
        if (r < 0) {
                return r;
        }
        json_auto_t *object = csr_new(asking->name, &pem, &proof);
        if (!object) {
                return error_oom(err);
        }
        r = kube_api_change(asking->api, KUBE_API_POST, CSRS_PATH, object, step_wait(context), err);
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ENOENT, "the API server has no " CSRS_PATH);
        }
        return refused_for_now(r, err);
}

/* Returns 1 once the certificate is issued, else 0. */
static int look_at_answer(void *userdata, StepContext *context, Error *err)
{
        Asking *asking = userdata;
        json_auto_t *object = NULL;
        _cleanup_free_ char *path = string_format(CSRS_PATH "/%s", asking->name);
        if (!path) {
                return error_oom(err);
        }
        int r = kube_api_get(asking->api, path, step_wait(context), &object, err);
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ENOENT,
                                 "the master deleted certificate request %s unanswered: see the "
                                 "journal of its kube-bootstrap",
                                 asking->name);
        }
        if (r > 0) {
                r = csr_read_answer(object, &asking->pem, err);
        }
        if (r == 0) {
                step_waiting_for(context, "the master to grant certificate request %s",
                                 asking->name);
        }
        return refused_for_now(r, err);
}

/* Adds the key to the certificate, which must belong to it. */
static int add_key(EVP_PKEY *key, Secret *pem, Error *err)
{
        _cleanup_x509_ X509 *certificate = NULL;
        int r = certificate_from_pem(pem->data, pem->size, &certificate, err);
        if (r >= 0 && !certificate_has_key(certificate, key)) {
                r = error_set(err, ERROR_RETRY, EBADMSG, "the certificate is for another key");
        }
        return r < 0 ? r : certificate_key_to_pem(key, pem, err);
}

int join_ask(Boot *boot, StepContext *context, Secret *ret, Error *err)
{
        _cleanup_(asking_done) Asking asking = { .boot = boot, .pem = SECRET_INIT };
        _cleanup_key_ EVP_PKEY *key = NULL;
        int r = step_await(context, take_token, &asking, bucket_looks, 0, err);
        if (r >= 0) {
                r = open_api(&asking, err);
        }
        if (r >= 0) {
                r = certificate_key_new(&key, err);
        }
        if (r >= 0) {
                r = send_request(&asking, context, key, err);
        }
        if (r >= 0) {
                r = step_await(context, look_at_answer, &asking, answer_looks, ANSWER_S, err);
        }
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ETIMEDOUT,
                                 "the master has not answered certificate request %s in %d s",
                                 asking.name, ANSWER_S);
        }
        if (r >= 0) {
                r = add_key(key, &asking.pem, err);
        }
        if (r < 0) {
                return r;
        }
        *ret = asking.pem;
        asking.pem = (Secret) SECRET_INIT;
        return 0;
}

static int read_pem(const char *path, Secret *ret, Error *err)
{
        return file_read(path, PEM_BYTES_MAX, ret, err);
}

/* Reads the cluster's authority and its key, which a master has. */
static int read_authority(X509 **ret, EVP_PKEY **ret_key, Error *err)
{
        _cleanup_secret_ Secret certificate = SECRET_INIT, key = SECRET_INIT;
        int r = read_pem(SECRETS_DIR "/ca.crt", &certificate, err);
        if (r >= 0) {
                r = read_pem(SECRETS_DIR "/ca.key", &key, err);
        }
        if (r >= 0) {
                r = certificate_from_pem(certificate.data, certificate.size, ret, err);
        }
        return r < 0 ? r : certificate_key_from_pem(key.data, key.size, ret_key, err);
}

int join_issue(const Boot *boot, Secret *ret, Error *err)
{
        char user[NODE_USER_MAX];
        _cleanup_x509_ X509 *authority = NULL, *certificate = NULL;
        _cleanup_key_ EVP_PKEY *authority_key = NULL, *key = NULL;
        node_name_user(boot->node_name, user);
        const CertificateRequest request = {
                .common_name = user,
                .organization = NODE_GROUP,
                .usage = CERTIFICATE_CLIENT,
                .now = time(NULL),
                .days = CERTIFICATE_DAYS,
        };
        int r = read_authority(&authority, &authority_key, err);
        if (r >= 0) {
                r = certificate_key_new(&key, err);
        }
        if (r >= 0) {
                r = certificate_issue(&request, key, authority, authority_key, &certificate, err);
        }
        if (r >= 0) {
                r = certificate_to_pem(certificate, ret, err);
        }
        return r < 0 ? r : certificate_key_to_pem(key, ret, err);
}

int kubelet_certificate_probe(void *userdata, StepContext *context, Error *err)
{
        return join_has_certificate(userdata, context, err);
}

int kubelet_certificate_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_secret_ Secret pem = SECRET_INIT;
        int r = boot->config.role == ROLE_MASTER ? join_issue(boot, &pem, err)
                                                 : join_ask(boot, context, &pem, err);
        return r < 0 ? r : join_install(&pem, err);
}
