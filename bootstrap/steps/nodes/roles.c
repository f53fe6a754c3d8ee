/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "cluster/csr.h"
#include "steps/api.h"

/* roles: what the parts of the cluster may do beyond the API server's defaults. Nothing that a
 * person adds to the addons can keep them away, as they are given here and not by kubectl.
 * https://kubernetes.io/docs/reference/access-authn-authz/rbac/ */

#define RBAC          "rbac.authorization.k8s.io"
#define ROLES_PATH    "/apis/" RBAC "/v1/clusterroles"
#define BINDINGS_PATH "/apis/" RBAC "/v1/clusterrolebindings"

#define JOIN_ROLE "kube-bootstrap:join"

/* A ClusterRole of ours, or a ClusterRoleBinding. */
typedef struct Grant {
        const char *name;
        unsigned runs_on;                          /* on the masters of these kinds */
        const char *group, *resource, *verbs[2];   /* of a role */
        const char *role, *subject_kind, *subject; /* of a binding */
} Grant;

static const Grant grants[] = {
        /* The join token's holder may ask for a node's certificate, and read the answer to a
         * request whose name it knows; `nodes` decides. It may not list requests, as
         * system:node-bootstrapper may: all nodes have the same token, and none has business with
         * another's request. */
        { JOIN_ROLE, KIND_ALL, .group = "certificates.k8s.io",
          .resource = "certificatesigningrequests", .verbs = { "create", "get" } },
        { "kube-bootstrap:node-bootstrapper", KIND_ALL, .role = JOIN_ROLE, .subject_kind = "Group",
          .subject = CSR_GROUP_NODE },
        /* The API server asks kubelets for logs, exec and port-forward; they ask it whether it may.
         */
        { "kube-bootstrap:kubelet-api-admin", KIND_ALL, .role = "system:kubelet-api-admin",
          .subject_kind = "User", .subject = "kube-apiserver-kubelet-client" },
        /* With containerd, flanneld and kube-proxy ask as their machine's kubelet, so that no two
         * machines share a credential for it. This role reads Services, their endpoints and all
         * Nodes; a kubelet, and so flanneld, may write to its own Node already. */
        { "kube-bootstrap:node-proxier", KIND_CONTAINERD, .role = "system:node-proxier",
          .subject_kind = "Group", .subject = "system:nodes" },
};

static const char *collection_of(const Grant *grant)
{
        return grant->role ? BINDINGS_PATH : ROLES_PATH;
}

static const char *kind_of(const Grant *grant)
{
        return grant->role ? "ClusterRoleBinding" : "ClusterRole";
}

static json_t *binding_new(const Grant *grant)
{
        return json_pack("{s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s}]}", "roleRef", "apiGroup", RBAC,
                         "kind", "ClusterRole", "name", grant->role, "subjects", "apiGroup", RBAC,
                         "kind", grant->subject_kind, "name", grant->subject);
}

static json_t *role_new(const Grant *grant)
{
        return json_pack("{s:[{s:[s], s:[s], s:[s, s]}]}", "rules", "apiGroups", grant->group,
                         "resources", grant->resource, "verbs", grant->verbs[0], grant->verbs[1]);
}

static int grant_make(const Grant *grant, json_t **ret, Error *err)
{
        json_auto_t *object = grant->role ? binding_new(grant) : role_new(grant);
        json_auto_t *head = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", RBAC "/v1", "kind",
                                      kind_of(grant), "metadata", "name", grant->name);
        if (!object || !head || json_object_update(object, head) < 0) {
                return error_oom(err);
        }
        *ret = json_incref(object);
        return 0;
}

/* Returns true if both have the same member, or neither has it. */
static bool is_member_equal(const json_t *one, const json_t *other, const char *name)
{
        const json_t *a = json_object_get(one, name), *b = json_object_get(other, name);
        return a == b || json_equal(a, b);
}

static bool is_grant_equal(const json_t *one, const json_t *other)
{
        return is_member_equal(one, other, "rules") && is_member_equal(one, other, "roleRef") &&
               is_member_equal(one, other, "subjects");
}

/* Makes the wanted object and reads the cluster's. Returns 1 and both, or 0 and the wanted one. */
static int grant_look(const Grant *grant, KubeApi *api, StepContext *context, json_t **wanted,
                      json_t **found, Error *err)
{
        _cleanup_free_ char *path = string_format("%s/%s", collection_of(grant), grant->name);
        int r = path ? grant_make(grant, wanted, err) : error_oom(err);
        return r < 0 ? r : kube_api_get(api, path, step_wait(context), found, err);
}

static const StepRetry api_looks = { .first_ms = 250, .max_ms = 1000 };

typedef struct Looks {
        Boot *boot;
        KubeApi *api;
} Looks;

/* Returns 1 if the API server is ready, else 0. An API server that has just started lets nobody do
 * anything until it has made its own roles (on a new cluster not even its administrators), so a
 * denial also means "not ready yet". */
static int answers(void *userdata, StepContext *context, Error *err)
{
        const Looks *looks = userdata;
        Boot *boot = looks->boot;
        Error why = {};
        int r = kube_api_is_ready(looks->api, step_wait(context), &why);
        bool not_yet = r < 0 && (why.class == ERROR_RETRY || why.class == ERROR_DENIED);
        if (r < 0 && (!not_yet || wait_check(step_wait(context), ERROR_IGNORED) < 0)) {
                *err = why;
                return r;
        }
        if (r <= 0) {
                boot->api_since = 0;
                step_waiting_for(context, "the API server to be ready%s%.150s",
                                 isempty(why.message) ? "" : ": ", why.message);
                return 0;
        }
        if (boot->api_since == 0) {
                boot->api_since = time(NULL);
        }
        return 1;
}

/* The places where a person finds the API server's container, and what it said. */
static const char *const where_to_look[_RUNTIME_MAX] = {
        [RUNTIME_DOCKER] = "docker ps -a",
        [RUNTIME_CONTAINERD] = "/var/log/pods and ctr -n k8s.io tasks ls",
};

static int await_api(Looks *looks, StepContext *context, Error *err)
{
        int r = step_await(context, answers, looks, api_looks, 0, err);
        return r != -ETIMEDOUT ? r
                               : error_set(err, ERROR_RETRY, ETIMEDOUT,
                                           "the API server does not become ready: see %s",
                                           where_to_look[looks->boot->images.runtime]);
}

static bool is_wanted(Boot *boot, const Grant *grant)
{
        return grant->runs_on & boot_kind(boot);
}

/* Returns 1 if the cluster has the object; else 0, after saying how it is not so. */
static int is_given(const Grant *grant, KubeApi *api, StepContext *context, Error *err)
{
        json_auto_t *wanted = NULL, *found = NULL;
        int r = grant_look(grant, api, context, &wanted, &found, err);
        if (r < 0 || (r > 0 && is_grant_equal(wanted, found))) {
                return r;
        }
        step_not_yet(context, "%s %s is %s", kind_of(grant), grant->name,
                     r == 0 ? "missing" : "another");
        return 0;
}

int roles_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_kube_api_ KubeApi *api = NULL;
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = answers(&(Looks) { boot, api }, context, err);
        }
        FOREACH_ARRAY(grant, grants, ELEMENTS(grants)) {
                if (r > 0 && is_wanted(boot, grant)) {
                        r = is_given(grant, api, context, err);
                }
        }
        return r;
}

/* Gives the cluster the object. The role of a binding cannot be changed: the binding is made anew.
 */
static int give(const Grant *grant, KubeApi *api, StepContext *context, Error *err)
{
        const char *collection = collection_of(grant);
        json_auto_t *wanted = NULL, *found = NULL;
        _cleanup_free_ char *path = string_format("%s/%s", collection, grant->name);
        if (!path) {
                return error_oom(err);
        }
        int r = grant_look(grant, api, context, &wanted, &found, err);
        if (r > 0 && !is_member_equal(wanted, found, "roleRef")) {
                r = kube_api_change(api, KUBE_API_DELETE, path, NULL, step_wait(context), err);
        }
        return r < 0 ? r : api_write(api, collection, grant->name, wanted, step_wait(context), err);
}

int roles_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_kube_api_ KubeApi *api = NULL;
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = await_api(&(Looks) { boot, api }, context, err);
        }
        FOREACH_ARRAY(grant, grants, ELEMENTS(grants)) {
                if (r >= 0 && is_wanted(boot, grant)) {
                        r = give(grant, api, context, err);
                }
        }
        return r < 0 ? r : 0;
}
