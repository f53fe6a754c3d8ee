/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "cluster/csr.h"
#include "steps/api.h"

/* roles: what the parts of the cluster may do beyond the API server's defaults. Nothing that a
 * person adds to the addons can keep them away, as they are given here and not by kubectl.
 * https://kubernetes.io/docs/reference/access-authn-authz/rbac/ */

#define RBAC          "rbac.authorization.k8s.io"
#define BINDINGS_PATH "/apis/" RBAC "/v1/clusterrolebindings"

/* A ClusterRoleBinding of a role that every cluster has. */
typedef struct Binding {
        const char *name, *role, *kind, *subject;
        unsigned runs_on; /* on the masters of these kinds */
} Binding;

static const Binding bindings[] = {
        /* The join token's holder may ask for a node's certificate; `nodes` decides. */
        { "kube-bootstrap:node-bootstrapper", "system:node-bootstrapper", "Group", CSR_GROUP_NODE,
          KIND_ALL },
        /* The API server asks kubelets for logs, exec and port-forward; they ask it whether it may.
         */
        { "kube-bootstrap:kubelet-api-admin", "system:kubelet-api-admin", "User",
          "kube-apiserver-kubelet-client", KIND_ALL },
        /* With containerd, flanneld and kube-proxy ask as their machine's kubelet, so that no two
         * machines share a credential for it. This role reads Services, their endpoints and all
         * Nodes; a kubelet, and so flanneld, may write to its own Node already. */
        { "kube-bootstrap:node-proxier", "system:node-proxier", "Group", "system:nodes",
          KIND_CONTAINERD },
};

static int binding_make(const Binding *binding, json_t **ret, Error *err)
{
        *ret = json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s}]}",
                         "apiVersion", RBAC "/v1", "kind", "ClusterRoleBinding", "metadata", "name",
                         binding->name, "roleRef", "apiGroup", RBAC, "kind", "ClusterRole", "name",
                         binding->role, "subjects", "apiGroup", RBAC, "kind", binding->kind, "name",
                         binding->subject);
        return *ret ? 0 : error_oom(err);
}

static bool is_member_equal(const json_t *one, const json_t *other, const char *name)
{
        return json_equal(json_object_get(one, name), json_object_get(other, name));
}

/* Makes the wanted binding and reads the cluster's. Returns 1 and both, or 0 and the wanted one. */
static int binding_look(const Binding *binding, KubeApi *api, StepContext *context, json_t **wanted,
                        json_t **found, Error *err)
{
        _cleanup_free_ char *path = string_format(BINDINGS_PATH "/%s", binding->name);
        int r = path ? binding_make(binding, wanted, err) : error_oom(err);
        return r < 0 ? r : kube_api_get(api, path, step_wait(context), found, err);
}

static const StepRetry api_looks = { .first_ms = 250, .max_ms = 1000 };

/* Returns 1 if the API server is ready, else 0. An API server that has just started lets nobody do
 * anything until it has made its own roles (on a new cluster not even its administrators), so a
 * denial also means "not ready yet". */
static int answers(void *userdata, StepContext *context, Error *err)
{
        KubeApi *api = userdata;
        Error why = {};
        int r = kube_api_is_ready(api, step_wait(context), &why);
        bool not_yet = r < 0 && (why.class == ERROR_RETRY || why.class == ERROR_DENIED);
        if (r < 0 && (!not_yet || wait_check(step_wait(context), ERROR_IGNORED) < 0)) {
                *err = why;
                return r;
        }
        if (r <= 0) {
                step_waiting_for(context, "the API server to be ready%s%.150s",
                                 isempty(why.message) ? "" : ": ", why.message);
        }
        return r > 0;
}

/* The places where a person finds the API server's container, and what it said. */
static const char *const where_to_look[_RUNTIME_MAX] = {
        [RUNTIME_DOCKER] = "docker ps -a",
        [RUNTIME_CONTAINERD] = "/var/log/pods and ctr -n k8s.io tasks ls",
};

static int await_api(const Boot *boot, KubeApi *api, StepContext *context, Error *err)
{
        int r = step_await(context, answers, api, api_looks, 0, err);
        return r != -ETIMEDOUT ? r
                               : error_set(err, ERROR_RETRY, ETIMEDOUT,
                                           "the API server does not become ready: see %s",
                                           where_to_look[boot->images.runtime]);
}

static bool is_wanted(Boot *boot, const Binding *binding)
{
        return binding->runs_on & boot_kind(boot);
}

/* Returns 1 if the cluster has the binding; else 0, after saying how it is not so. */
static int binding_is_given(const Binding *binding, KubeApi *api, StepContext *context, Error *err)
{
        json_auto_t *wanted = NULL, *found = NULL;
        int r = binding_look(binding, api, context, &wanted, &found, err);
        if (r < 0 || (r > 0 && is_member_equal(wanted, found, "roleRef") &&
                      is_member_equal(wanted, found, "subjects"))) {
                return r;
        }
        step_not_yet(context, "ClusterRoleBinding %s is %s", binding->name,
                     r == 0 ? "missing" : "another");
        return 0;
}

int roles_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_kube_api_ KubeApi *api = NULL;
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = answers(api, context, err);
        }
        FOREACH_ARRAY(binding, bindings, ELEMENTS(bindings)) {
                if (r > 0 && is_wanted(boot, binding)) {
                        r = binding_is_given(binding, api, context, err);
                }
        }
        return r;
}

/* Gives the cluster the binding. The role of one cannot be changed: it is made anew. */
static int binding_give(const Binding *binding, KubeApi *api, StepContext *context, Error *err)
{
        json_auto_t *wanted = NULL, *found = NULL;
        _cleanup_free_ char *path = string_format(BINDINGS_PATH "/%s", binding->name);
        if (!path) {
                return error_oom(err);
        }
        int r = binding_look(binding, api, context, &wanted, &found, err);
        if (r > 0 && !is_member_equal(wanted, found, "roleRef")) {
                r = kube_api_change(api, KUBE_API_DELETE, path, NULL, step_wait(context), err);
        }
        return r < 0 ? r
                     : api_write(api, BINDINGS_PATH, binding->name, wanted, step_wait(context),
                                 err);
}

int roles_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_kube_api_ KubeApi *api = NULL;
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = await_api(boot, api, context, err);
        }
        FOREACH_ARRAY(binding, bindings, ELEMENTS(bindings)) {
                if (r >= 0 && is_wanted(boot, binding)) {
                        r = binding_give(binding, api, context, err);
                }
        }
        return r < 0 ? r : 0;
}
