/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/api.h"
#include "steps/nodes/nodes_internal.h"

#include <errno.h>

#include "aws/sigv4.h"
#include "base/log.h"
#include "cluster/document.h"

/* nodes: the master lets in the machines that may join, labels Nodes by role (kubelet may not set
 * these labels itself), and deletes Nodes whose instance no longer exists. */

static const StepRetry looks = { .first_ms = 2000, .max_ms = 2000 };

bool nodes_have_work(const Boot *boot, const NodesScene *scene)
{
        FOREACH_ARRAY(seen, scene->csrs, scene->n_csrs) {
                if (seen->verdict != CSR_WAIT) {
                        return true;
                }
        }
        FOREACH_ARRAY(node, scene->nodes, scene->n_nodes) {
                if (nodes_is_gone(boot, scene, node) || nodes_wants_label(boot, scene, node)) {
                        return true;
                }
        }
        return false;
}

int nodes_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_kube_api_ KubeApi *api = NULL;
        _cleanup_nodes_scene_ NodesScene scene = {};
        int r = api_open(boot, &api, err);
        if (r < 0) {
                return r;
        }
        r = nodes_look(boot, context, api, &scene, err);
        if (r < 0) {
                return r;
        }
        return !nodes_have_work(boot, &scene) && nodes_find(&scene, boot->node_name);
}

/* Returns 1 if the change was made; 0 if the object no longer exists or somebody else has changed
 * it meanwhile, so that it must be looked at again. */
static int nodes_change(KubeApi *api, StepContext *context, KubeApiMethod method, const char *path,
                        json_t *body, Error *err)
{
        if (!body) {
                return error_oom(err);
        }
        int r = kube_api_change(api, method, path, body, step_wait(context), err);
        return r == -EEXIST ? 0 : r;
}

/* Makes the path of a request, or of a part of it. Its maker chose its name. */
static int csr_path(const CsrSeen *seen, const char *part, Buffer *ret, Error *err)
{
        static const char collection[] = "/apis/certificates.k8s.io/v1/certificatesigningrequests/";
        int r = buffer_append_string(ret, collection);
        if (r >= 0) {
                r = sigv4_uri_encode(kube_api_text(seen->object, "metadata.name"), false, ret);
        }
        if (r >= 0) {
                r = buffer_append_string(ret, part);
        }
        return r < 0 ? error_oom(err) : 0;
}

static void warn_of_denial(const CsrSeen *seen)
{
        log_write(LOG_WARNING, NULL, NULL, 0,
                  "denied certificate request %.60s of %.60s%s%.80s: %s", seen->csr.name,
                  seen->csr.user, *seen->csr.node_name ? " for " : "", seen->csr.node_name,
                  seen->reason);
}

/* Deletes a request that is to get no answer, or that has had one; also one whose maker gave it a
 * finalizer, which would keep it. */
static int remove_csr(KubeApi *api, StepContext *context, const CsrSeen *seen, Error *err)
{
        const json_t *metadata = json_object_get(seen->object, "metadata");
        _cleanup_buffer_ Buffer path = {};
        int r = csr_path(seen, "", &path, err);
        if (r >= 0 && json_array_size(json_object_get(metadata, "finalizers")) > 0) {
                json_auto_t *none = json_pack("{s:{s:n}}", "metadata", "finalizers");
                r = nodes_change(api, context, KUBE_API_PATCH, path.data, none, err);
        }
        if (r >= 0) {
                r = kube_api_change(api, KUBE_API_DELETE, path.data, NULL, step_wait(context), err);
        }
        if (r > 0 && !seen->csr.settled) {
                warn_of_denial(seen);
        }
        return r;
}

/* Approves or denies the request, by its verdict.
 * https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/ */
static int settle(KubeApi *api, StepContext *context, CsrSeen *seen, Error *err)
{
        if (seen->verdict == CSR_DELETE) {
                return remove_csr(api, context, seen, err);
        }
        bool approve = seen->verdict == CSR_APPROVE;
        _cleanup_buffer_ Buffer path = {};
        json_t *status = json_pack("{s:[{s:s,s:s,s:s,s:s}]}", "conditions", "type",
                                   approve ? "Approved" : "Denied", "status", "True", "reason",
                                   "KubeBootstrap", "message", seen->reason);
        if (!status || json_object_set_new(seen->object, "status", status) < 0) {
                return error_oom(err);
        }
        int r = csr_path(seen, "/approval", &path, err);
        if (r >= 0) {
                r = nodes_change(api, context, KUBE_API_PUT, path.data, seen->object, err);
        }
        if (r > 0 && approve) {
                log_write(LOG_INFO, NULL, NULL, 0, "approved certificate request %s of %s: %s",
                          seen->csr.name, seen->csr.user, seen->reason);
        } else if (r > 0) {
                warn_of_denial(seen);
        }
        return r;
}

static void node_path(const NodeSeen *node, char ret[300])
{
        (void) snprintf(ret, 300, "/api/v1/nodes/%s", node->name);
}

/* Deletes the Node only if it is still as it was seen: it may have come back since. */
static int delete (KubeApi *api, StepContext *context, const NodeSeen *node, Error *err)
{
        char path[300];
        node_path(node, path);
        json_auto_t *body =
                json_pack("{s:s,s:s,s:{s:s,s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
                          "preconditions", "uid", node->uid, "resourceVersion", node->version);
        int r = nodes_change(api, context, KUBE_API_DELETE, path, body, err);
        if (r > 0) {
                log_write(LOG_INFO, NULL, NULL, 0, "deleted Node %s: its instance is gone",
                          node->name);
        }
        return r;
}

static int label(const Boot *boot, KubeApi *api, StepContext *context, const NodeSeen *node,
                 Error *err)
{
        char path[300];
        node_path(node, path);
        bool master = streq(node->name, boot->node_name);
        json_t *labels = json_object();
        int failed = 0;
        FOREACH_ARRAY(l, nodes_labels, NODES_LABELS) {
                json_t *value =
                        l->master == master ? json_string("") : json_null(); /* removes it */
                failed |= json_object_set_new(labels, l->name, value);
        }
        json_auto_t *body = json_pack("{s:{s:o}}", "metadata", "labels", labels);
        if (failed) {
                return error_oom(err);
        }
        return nodes_change(api, context, KUBE_API_PATCH, path, body, err);
}

/* Keeps the first of several errors. */
static void keep_error(int r, const Error *failed, int *first, Error *err)
{
        if (r < 0 && *first >= 0) {
                *first = r;
                *err = *failed;
        }
}

int nodes_work(const Boot *boot, StepContext *context, KubeApi *api, const NodesScene *scene,
               Error *err)
{
        int first = 0;
        FOREACH_ARRAY(seen, scene->csrs, scene->n_csrs) {
                Error failed = {};
                int r = seen->verdict == CSR_WAIT ? 0 : settle(api, context, seen, &failed);
                keep_error(r, &failed, &first, err);
        }
        FOREACH_ARRAY(node, scene->nodes, scene->n_nodes) {
                Error failed = {};
                int r = 0;
                if (nodes_is_gone(boot, scene, node)) {
                        r = delete (api, context, node, &failed);
                } else if (nodes_wants_label(boot, scene, node)) {
                        r = label(boot, api, context, node, &failed);
                }
                keep_error(r, &failed, &first, err);
        }
        return first;
}

typedef struct NodesLook {
        const Boot *boot;
        KubeApi *api;
} NodesLook;

/* Returns 1 once the master's own Node has joined, else 0: what others ask meanwhile is the next
 * look's. */
static int look_and_work(void *userdata, StepContext *context, Error *err)
{
        const NodesLook *look = userdata;
        _cleanup_nodes_scene_ NodesScene scene = {};
        int r = nodes_look(look->boot, context, look->api, &scene, err);
        if (r >= 0) {
                r = nodes_work(look->boot, context, look->api, &scene, err);
        }
        if (r < 0) {
                return r;
        }
        step_waiting_for(context, "this machine's kubelet to register its Node");
        return nodes_find(&scene, look->boot->node_name) != NULL;
}

/* Looks and works until the master's own Node is there, and has its labels. */
int nodes_apply(void *userdata, StepContext *context, Error *err)
{
        NodesLook look = { .boot = userdata };
        _cleanup_kube_api_ KubeApi *api = NULL;
        int r = api_open(look.boot, &api, err);
        if (r < 0) {
                return r;
        }
        look.api = api;
        r = step_await(context, look_and_work, &look, looks, 0, err);
        return r < 0 ? r : 0;
}
