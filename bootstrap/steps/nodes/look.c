/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/time.h"
#include "steps/nodes/nodes_internal.h"

#define NODES_PATH  "/api/v1/nodes"
#define LEASES_PATH "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
/* Small pages: anybody with a join token may make an object as large as etcd takes, 1.5 MB. */
#define CSRS_PATH                                                 \
        "/apis/certificates.k8s.io/v1/certificatesigningrequests" \
        "?fieldSelector=spec.signerName%3Dkubernetes.io%2Fkube-apiserver-client-kubelet&limit=10"

/* Limits of a look. Of more requests that tokens have made than CSRS_MAX, some are drawn; renewals
 * are all looked at. EC2 is asked about NAMES_MAX of the names that nobody has proven yet. */
#define CSRS_MAX        1024
#define CSRS_KEPT_MAX   (4 * CSRS_MAX)
#define CSRS_LISTED_MAX 8000
#define NAMES_MAX       100

/* How long a denied request stays, so that its maker can read the reason. The API server's own
 * limit is an hour:
 * https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/ */
#define DENIED_S 60

void nodes_scene_done(NodesScene *scene)
{
        FOREACH_ARRAY(node, scene->nodes, scene->n_nodes) {
                free(node->name);
        }
        FOREACH_ARRAY(seen, scene->csrs, scene->n_csrs) {
                json_decref(seen->object);
        }
        free(scene->nodes);
        free(scene->csrs);
        *scene = (NodesScene) {};
}

/* Makes room for one more item at the end of an array that grows by doubling. Returns the array, or
 * NULL when out of memory. */
static void *array_grow(void *array, size_t n, size_t size)
{
        bool is_full = n == 0 || (n & (n - 1)) == 0;
        if (!is_full) {
                return array;
        }
        return reallocarray(array, n ? 2 * n : 1, size);
}

/* Returns the time in seconds; 0 if the text is not a time. */
static time_t look_parse_time(const char *text)
{
        struct timespec time;
        return time_parse(text, &time) < 0 ? 0 : time.tv_sec;
}

const NodesLabel nodes_labels[NODES_LABELS] = {
        { "node-role.kubernetes.io/control-plane", true },
        { "node-role.kubernetes.io/master", true },
        { "node-role.kubernetes.io/node", false },
};

static int see_node(const json_t *item, void *userdata, Error *err)
{
        NodesScene *scene = userdata;
        const json_t *metadata = json_object_get(item, "metadata");
        const json_t *labels = json_object_get(metadata, "labels");
        NodeSeen *nodes = array_grow(scene->nodes, scene->n_nodes, sizeof(*nodes));
        if (!nodes) {
                return error_oom(err);
        }
        scene->nodes = nodes;
        NodeSeen node = {
                .name = strdup(kube_api_text(metadata, "name")),
                .heard = look_parse_time(kube_api_text(metadata, "creationTimestamp")),
        };
        for (unsigned i = 0; i < NODES_LABELS; i++) {
                node.labels |= json_object_get(labels, nodes_labels[i].name) ? 1U << i : 0;
        }
        if (!node.name) {
                return error_oom(err);
        }
        (void) snprintf(node.uid, sizeof(node.uid), "%s", kube_api_text(metadata, "uid"));
        (void) snprintf(node.version, sizeof(node.version), "%s",
                        kube_api_text(metadata, "resourceVersion"));
        scene->nodes[scene->n_nodes++] = node;
        return 0;
}

static int compare_nodes(const void *a, const void *b)
{
        return strcmp(((const NodeSeen *) a)->name, ((const NodeSeen *) b)->name);
}

static int compare_name(const void *name, const void *node)
{
        return strcmp(name, ((const NodeSeen *) node)->name);
}

static NodeSeen *find_node(const NodesScene *scene, const char *name)
{
        return scene->n_nodes
                       ? bsearch(name, scene->nodes, scene->n_nodes, sizeof(NodeSeen), compare_name)
                       : NULL;
}

const NodeSeen *nodes_find(const NodesScene *scene, const char *name)
{
        return find_node(scene, name);
}

static int see_lease(const json_t *item, void *userdata, Error *err)
{
        (void) err;
        NodeSeen *node = find_node(userdata, kube_api_text(item, "metadata.name"));
        time_t renewed = look_parse_time(kube_api_text(item, "spec.renewTime"));
        if (node && renewed) {
                node->heard = renewed;
        }
        return 0;
}

/* Draws a number below n, which is not 0. Where the kernel gives no randomness, the first will do.
 */
static size_t draw_below(size_t n)
{
        uint32_t random = 0;
        (void) random_bytes(&random, sizeof(random), ERROR_IGNORED);
        return random % n;
}

/* Returns the place for one more request, or NULL and 0 where it is left out, or an error. A
 * request by a token is left out, or takes the place of another one, as the draw decides, once
 * there are CSRS_MAX: so those of a flood do not hide the others for ever. */
static int csr_place(NodesScene *scene, bool renewal, CsrSeen **ret, Error *err)
{
        *ret = NULL;
        scene->n_by_token += !renewal;
        if (!renewal && scene->n_by_token > CSRS_MAX) {
                size_t i = draw_below(scene->n_by_token);
                if (i < scene->n_csrs && !scene->csrs[i].csr.renewal) {
                        json_decref(scene->csrs[i].object);
                        *ret = &scene->csrs[i];
                }
                return 0;
        }
        CsrSeen *csrs = array_grow(scene->csrs, scene->n_csrs, sizeof(*csrs));
        if (!csrs) {
                return error_oom(err);
        }
        scene->csrs = csrs;
        *ret = &csrs[scene->n_csrs++];
        return 0;
}

/* Returns true if the object is being deleted, and nothing holds that up. */
static bool is_ending(const json_t *item)
{
        const json_t *metadata = json_object_get(item, "metadata");
        return json_object_get(metadata, "deletionTimestamp") &&
               json_array_size(json_object_get(metadata, "finalizers")) == 0;
}

static int see_csr(const json_t *item, void *userdata, Error *err)
{
        NodesScene *scene = userdata;
        CsrSeen *seen = NULL;
        Csr csr = {};
        int r = csr_read(item, &csr, err);
        bool is_over = csr.denied && !csr.renewal && scene->now - csr.created > DENIED_S;
        if (r < 0) {
                return r;
        }
        bool enough = ++scene->n_listed >= CSRS_LISTED_MAX || scene->n_csrs >= CSRS_KEPT_MAX;
        if (!csr.of_kubelet || (csr.settled && !is_over) || is_ending(item)) {
                return enough;
        }
        r = csr_place(scene, csr.renewal, &seen, err);
        if (r < 0 || !seen) {
                return r < 0 ? r : enough;
        }
        *seen = (CsrSeen) { .csr = csr,
                            .object = json_deep_copy(item),
                            .verdict = is_over ? CSR_DELETE : CSR_WAIT };
        if (!seen->object) {
                return error_oom(err);
        }
        if (!is_over && !csr.renewal) {
                nodes_look_at_proof(scene, seen);
        }
        return enough;
}

bool nodes_is_live(const NodesScene *scene, const NodeSeen *node)
{
        return node && scene->now - node->heard < NODE_LEASE_S;
}

/* What EC2 is asked about in one call: the names, and where each answer goes. */
typedef struct Question {
        const Boot *boot;
        const Wait *wait;
        const char *names[EC2_NAMES_MAX];
        Ec2Instance *places[EC2_NAMES_MAX];
        size_t n;
} Question;

static int look_ask(Question *question, Error *err)
{
        Ec2Instance found[EC2_NAMES_MAX];
        if (question->n == 0) {
                return 0;
        }
        int r = ec2_find_instances_by_name(question->boot->aws, question->boot->config.cluster_name,
                                           question->boot->vpc_id, question->names, question->n,
                                           question->wait, found, err);
        for (size_t i = 0; r >= 0 && i < question->n; i++) {
                *question->places[i] = found[i];
        }
        question->n = 0;
        return r;
}

/* EC2 need not be asked about this instance, which runs. */
static Ec2Instance describe_own(const Boot *boot)
{
        Ec2Instance own = { .state = "running" };
        (void) snprintf(own.instance_id, sizeof(own.instance_id), "%s", boot->identity.instance_id);
        (void) snprintf(own.role, sizeof(own.role), "%s", role_to_string(boot->config.role));
        return own;
}

static int ask_about(Question *question, const char *name, Ec2Instance *place, Error *err)
{
        if (streq(name, question->boot->node_name)) {
                *place = describe_own(question->boot);
                return 0;
        }
        int r = question->n == EC2_NAMES_MAX ? look_ask(question, err) : 0;
        question->names[question->n] = name;
        question->places[question->n++] = place;
        return r;
}

/* Asks EC2 about Nodes that are not live and about requests that are not decided without it. Mostly
 * there is nothing to ask, because a live Node needs no question. */
static int ask_about_all(const Boot *boot, StepContext *context, NodesScene *scene, Error *err)
{
        Question question = { .boot = boot, .wait = step_wait(context) };
        int r = 0;
        FOREACH_ARRAY(node, scene->nodes, scene->n_nodes) {
                if (r >= 0 && !nodes_is_live(scene, node)) {
                        r = ask_about(&question, node->name, &node->instance, err);
                }
        }
        size_t n_names = 0, first = scene->n_csrs > 0 ? draw_below(scene->n_csrs) : 0;
        for (size_t i = 0; r >= 0 && i < scene->n_csrs; i++) {
                CsrSeen *seen = &scene->csrs[(first + i) % scene->n_csrs];
                if (seen->verdict == CSR_WAIT && !*seen->csr.flaw &&
                    (seen->csr.renewal || n_names++ < NAMES_MAX)) {
                        seen->asked = true;
                        r = ask_about(&question, seen->csr.node_name, &seen->instance, err);
                }
        }
        return r < 0 ? r : look_ask(&question, err);
}

static void judge(CsrSeen *seen, time_t now)
{
        const CsrFacts facts = {
                .now = now,
                .instance_id = seen->instance.other_domain ? "" : seen->instance.instance_id,
                .instance_state = seen->instance.state,
                .instance_role = seen->instance.role,
        };
        seen->verdict = csr_judge(&seen->csr, &facts, seen->reason, sizeof(seen->reason));
}

int nodes_look(const Boot *boot, StepContext *context, KubeApi *api, NodesScene *ret, Error *err)
{
        const Wait *wait = step_wait(context);
        ret->now = time(NULL);
        ret->aws_now = aws_client_time(boot->aws);
        int r = kube_api_list(api, NODES_PATH, true, wait, see_node, ret, err);
        if (r < 0) {
                return r;
        }
        if (ret->n_nodes) {
                qsort(ret->nodes, ret->n_nodes, sizeof(*ret->nodes), compare_nodes);
        }
        r = kube_api_list(api, LEASES_PATH, false, wait, see_lease, ret, err);
        if (r >= 0) {
                r = kube_api_list(api, CSRS_PATH, false, wait, see_csr, ret, err);
        }
        if (r >= 0) {
                r = ask_about_all(boot, context, ret, err);
        }
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(seen, ret->csrs, ret->n_csrs) {
                if (seen->verdict == CSR_WAIT && (seen->asked || *seen->csr.flaw)) {
                        judge(seen, ret->now);
                }
        }
        nodes_prove(boot, context, ret, ret->n_csrs > 0 ? draw_below(ret->n_csrs) : 0);
        return 0;
}

static bool is_own(const Boot *boot, const NodeSeen *node)
{
        return streq(node->name, boot->node_name);
}

/* An instance whose name has another domain now is not gone: DHCP's option set may have changed. */
bool nodes_is_gone(const Boot *boot, const NodesScene *scene, const NodeSeen *node)
{
        return streq(boot->config.cloud_provider, "none") && !is_own(boot, node) &&
               !nodes_is_live(scene, node) &&
               (isempty(node->instance.instance_id) || streq(node->instance.state, "terminated"));
}

bool nodes_wants_label(const Boot *boot, const NodesScene *scene, const NodeSeen *node)
{
        unsigned wanted = 0;
        for (unsigned i = 0; i < NODES_LABELS; i++) {
                wanted |= nodes_labels[i].master == is_own(boot, node) ? 1U << i : 0;
        }
        return nodes_is_live(scene, node) && node->labels != wanted;
}
