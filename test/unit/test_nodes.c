/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/nodes/nodes_internal.h"

#include <errno.h>
#include <stdarg.h>

#include "base/file.h"
#include "cluster/certificate.h"
#include "csr_maker.h"
#include "ec2_world.h"

/* What the master does about Nodes and requests, against an API server and an EC2 of the test's own
 * (one server: EC2 is asked at "/"). */

#define OWN    "ip-172-20-128-10.ec2.internal"
#define NODE_A "ip-172-20-144-10.ec2.internal"
#define NODE_B "ip-172-20-160-10.ec2.internal"
#define NODE_C "ip-172-20-160-11.ec2.internal"

static json_t *nodes, *leases, *csrs;
static char *ec2_items;
static KubeApi *api;
static char none[] = "none", aws[] = "aws", blue[] = "blue"; /* of the configuration */
static char node_role[] = "kubernetes-node";
static bool work; /* the step is to act, too */
static NodesScene scene;
static bool sts_is_silent;

static char *list_reply(const json_t *items)
{
        _cleanup_free_ char *text = json_dumps(items, 0);
        _cleanup_free_ char *body = string_format("{\"metadata\":{},\"items\":%s}", text);
        return make_reply("200 OK", "", body);
}

static char *respond(const char *request, unsigned number)
{
        (void) number;
        if (is_action(request, "GetCallerIdentity")) {
                return sts_is_silent ? make_reply("503 No", "", "")
                                     : sts_reply(request, "kubernetes-node");
        }
        if (string_starts_with(request, "POST / ")) {
                return ec2_reply("<reservationSet><item><instancesSet>%s</instancesSet></item>"
                                 "</reservationSet>",
                                 ec2_items);
        }
        if (string_starts_with(request, "GET /api/v1/nodes?")) {
                return list_reply(nodes);
        }
        if (string_starts_with(request, "GET /apis/coordination.k8s.io/v1/namespaces/"
                                        "kube-node-lease/leases?")) {
                return list_reply(leases);
        }
        if (string_starts_with(request, "GET /apis/certificates.k8s.io/v1/"
                                        "certificatesigningrequests?")) {
                return list_reply(csrs);
        }
        return make_reply("200 OK", "", "{}");
}

static void when(int age_s, char ret[40])
{
        time_t then = time(NULL) - age_s;
        struct tm tm;
        (void) strftime(ret, 40, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &tm));
}

/* A Node whose Lease was renewed so long ago (negative: it has none). */
static void add_node(const char *name, const char *role, int made_s, int lease_s)
{
        char made[40], renewed[40];
        when(made_s, made);
        when(lease_s, renewed);
        renewed[strlen(renewed) - 1] = '\0';
        json_t *labels = json_object();
        if (*role) {
                _cleanup_free_ char *label = string_format("node-role.kubernetes.io/%s", role);
                (void) json_object_set_new(labels, label, json_string(""));
        }
        if (streq(role, "master")) {
                (void) json_object_set_new(labels, "node-role.kubernetes.io/control-plane",
                                           json_string(""));
        }
        (void) json_array_append_new(nodes,
                                     json_pack("{s:{s:s,s:s,s:s,s:s,s:o}}", "metadata", "name",
                                               name, "uid", "u-1", "resourceVersion", "42",
                                               "creationTimestamp", made, "labels", labels));
        if (lease_s >= 0) {
                _cleanup_free_ char *micro = string_format("%s.123456Z", renewed);
                (void) json_array_append_new(leases,
                                             json_pack("{s:{s:s},s:{s:s}}", "metadata", "name",
                                                       name, "spec", "renewTime", micro));
        }
}

/* A request that was made so long ago. */
static json_t *add_old_csr(const char *name, const char *node, int age_s)
{
        char created[40];
        _cleanup_free_ char *cn = string_format("system:node:%s", node);
        when(age_s, created);
        const Wanted wanted = { .common_name = cn, .organization = "system:nodes" };
        (void) json_array_append_new(csrs, csr_object(name, created, &wanted));
        return json_array_get(csrs, json_array_size(csrs) - 1);
}

/* A request with a proof by this access key: "ASIA7X" is that of instance i-7x. */
static void add_csr(const char *name, const char *node, const char *key)
{
        csr_prove(add_old_csr(name, node, 10), key, 10);
}

static void add_instance(const char *id, const char *name, const char *state, const char *role)
{
        char *more = string_format(
                "%s<item><instanceId>%s</instanceId><instanceState><name>%s</name></instanceState>"
                "<networkInterfaceSet><item><privateDnsName>%s</privateDnsName><attachment>"
                "<deviceIndex>0</deviceIndex><networkCardIndex>0</networkCardIndex></attachment>"
                "</item></networkInterfaceSet><tagSet><item><key>KubernetesRole</key>"
                "<value>%s</value></item></tagSet></item>",
                ec2_items, id, state, name, role);
        free(ec2_items);
        ec2_items = more;
}

/* A cluster of a master, alone. */
static void begin(void)
{
        json_decref(nodes);
        json_decref(leases);
        json_decref(csrs);
        nodes = json_array();
        leases = json_array();
        csrs = json_array();
        free(ec2_items);
        ec2_items = strdup("");
        server_reset(&server, respond);
        add_node(OWN, "master", 1000, 5);
}

static int look_probe(void *userdata, StepContext *context, Error *err)
{
        nodes_scene_done(&scene);
        int r = nodes_look(userdata, context, api, &scene, err);
        if (r >= 0 && work) {
                r = nodes_work(userdata, context, api, &scene, err);
        }
        return r < 0 ? r : 1;
}

static void look(bool and_work)
{
        StepStatus status;
        Error err = {};
        work = and_work;
        CHECK_OK(run_step(look_probe, NULL, MACHINE_CONVERGE, &status, &err), err);
}

static const CsrSeen *find_csr(const char *name)
{
        FOREACH_ARRAY(seen, scene.csrs, scene.n_csrs) {
                if (streq(seen->csr.name, name)) {
                        return seen;
                }
        }
        return NULL;
}

static void check_verdict(const char *name, CsrVerdict verdict, const char *reason)
{
        const CsrSeen *seen = find_csr(name);
        if (!seen || seen->verdict != verdict) {
                test_fail(__FILE__, __LINE__, "%s: %s (%s)", name,
                          seen ? csr_verdict_to_string(seen->verdict) : "not seen",
                          seen ? seen->reason : "");
                return;
        }
        CHECK_CONTAINS(seen->reason, reason);
}

/* The request that begins so, or NULL; how many there are. */
static const char *request_for(const char *line, unsigned *ret_n)
{
        const char *found = NULL;
        unsigned n = 0;
        for (unsigned i = 0; i < server_count(&server); i++) {
                if (string_starts_with(server_request(&server, i), line)) {
                        found = server_request(&server, i);
                        n++;
                }
        }
        if (ret_n) {
                *ret_n = n;
        }
        return found;
}

static void test_nothing_to_do(void)
{
        begin();
        add_node(NODE_A, "node", 1000, 5);
        add_node(NODE_B, "node", 5, -1); /* so young that it has no Lease yet */
        look(true);
        CHECK(!nodes_have_work(&boot, &scene));
        CHECK_INT(server_count(&server), 3); /* and EC2 was not asked */
        CHECK_CONTAINS(request_for("GET /api/v1/nodes?", NULL), "PartialObjectMetadataList");
        CHECK(nodes_find(&scene, OWN) && nodes_find(&scene, NODE_A) && nodes_find(&scene, NODE_B));
        CHECK(!nodes_find(&scene, NODE_C));
}

static void test_requests(void)
{
        begin();
        add_node(NODE_B, "node", 1000, 5);
        add_node(NODE_C, "node", 1000, 60);
        add_csr("csr-new", NODE_A, "ASIAA");
        add_csr("csr-live", NODE_B, "ASIAB"); /* its machine was started again just now */
        add_csr("csr-again", NODE_C, "ASIAC");
        add_csr("csr-master", OWN, "ASIAA");
        add_csr("csr-stopped", "ip-1.ec2.internal", "ASIA1");
        add_csr("csr-nobody", "ip-2.ec2.internal", "ASIA2");
        add_instance("i-a", NODE_A, "running", "node");
        add_instance("i-b", NODE_B, "running", "node");
        add_instance("i-c", NODE_C, "running", "node");
        add_instance("i-1", "ip-1.ec2.internal", "stopped", "node");
        look(true);
        check_verdict("csr-new", CSR_APPROVE, "instance i-a runs and is a node");
        check_verdict("csr-live", CSR_APPROVE, "instance i-b runs");
        check_verdict("csr-again", CSR_APPROVE, "instance i-c runs");
        check_verdict("csr-master", CSR_DENY, "is a master, which no join token stands for");
        check_verdict("csr-stopped", CSR_DENY, "instance i-1 is stopped");
        check_verdict("csr-nobody", CSR_WAIT, "EC2 knows no instance");
        CHECK_INT(count_action("DescribeInstances"), 1); /* one call for all */
        CHECK_INT(count_action("GetCallerIdentity"), 3); /* of those that could be granted */

        unsigned n = 0;
        (void) request_for("PUT ", &n);
        CHECK_INT(n, 5);
#define CSR_PATH "PUT /apis/certificates.k8s.io/v1/certificatesigningrequests/"
        const char *put = request_for(CSR_PATH "csr-new/approval ", NULL);
        CHECK_CONTAINS(put, "\"conditions\":[{\"type\":\"Approved\",\"status\":\"True\"");
        CHECK_CONTAINS(put, "\"resourceVersion\":\"7\"");
        CHECK_CONTAINS(put, "\"request\":\""); /* the object as it was */
        put = request_for(CSR_PATH "csr-stopped/approval ", NULL);
        CHECK_CONTAINS(put, "{\"type\":\"Denied\",\"status\":\"True\"");
        CHECK_CONTAINS(put, "instance i-1 is stopped");
        CHECK_CONTAINS(request_for(CSR_PATH "csr-again/approval ", NULL), "Approved");
}

static void test_master_is_not_for_nodes(void)
{
        begin();
        (void) json_array_clear(nodes);
        (void) json_array_clear(leases);
        add_csr("csr-bad", OWN, "ASIAA");
        look(false);
        check_verdict("csr-bad", CSR_DENY, "is a master, which no join token stands for");
        CHECK_INT(count_action("DescribeInstances"), 0); /* it knows itself */
}

static void test_gone(void)
{
        static const struct {
                const char *what, *state; /* "": EC2 does not know it */
                int made_s, lease_s;
                bool gone;
        } cases[] = {
                { "unknown, Lease over", "", 1000, 60, true },
                { "terminated, Lease over", "terminated", 1000, 60, true },
                { "unknown, without a Lease", "", 1000, -1, true },
                { "unknown, live", "", 1000, 5, false },
                { "unknown, just made", "", 5, -1, false },
                { "running, Lease over", "running", 1000, 60, false },
                { "stopped, Lease over", "stopped", 1000, 60, false },
                { "shutting down, Lease over", "shutting-down", 1000, 60, false },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                unsigned n = 0;
                begin();
                add_node(NODE_A, "node", c->made_s, c->lease_s);
                if (*c->state) {
                        add_instance("i-a", NODE_A, c->state, "node");
                }
                look(true);
                const char *request = request_for("DELETE ", &n);
                if (n != c->gone) {
                        test_fail(__FILE__, __LINE__, "%s: deleted %u times", c->what, n);
                }
                if (n > 0) { /* that very one, as it was seen */
                        CHECK(string_starts_with(request, "DELETE /api/v1/nodes/" NODE_A " "));
                        CHECK_CONTAINS(request, "\"uid\":\"u-1\"");
                        CHECK_CONTAINS(request, "\"resourceVersion\":\"42\"");
                }
        }
}

static void test_gone_is_not_ours(void)
{
        unsigned n = 0;
        begin();
        (void) json_array_clear(nodes);
        (void) json_array_clear(leases);
        add_node(OWN, "master", 1000, 500); /* the API server was away, and so was this machine */
        look(true);
        (void) request_for("DELETE ", &n);
        CHECK_INT(n, 0);

        begin();
        add_node(NODE_A, "node", 1000, 500);
        boot.config.cloud_provider = aws; /* which deletes them itself */
        look(true);
        boot.config.cloud_provider = none;
        (void) request_for("DELETE ", &n);
        CHECK_INT(n, 0);
}

/* EC2's name may have capitals. Under another domain the machine is not the one that asks; but its
 * Node stays. */
static void test_domains(void)
{
        unsigned n = 0;
        begin();
        add_node(NODE_B, "node", 1000, 60);
        add_csr("csr-capitals", NODE_A, "ASIAA");
        add_csr("csr-domain", NODE_C, "ASIAC");
        add_instance("i-a", "ip-172-20-144-10.Ec2.INTERNAL", "running", "node");
        add_instance("i-b", "ip-172-20-160-10.corp.example", "running", "node");
        add_instance("i-c", "ip-172-20-160-11.corp.example", "running", "node");
        look(true);
        check_verdict("csr-capitals", CSR_APPROVE, "instance i-a runs");
        check_verdict("csr-domain", CSR_WAIT, "EC2 knows no instance " NODE_C);
        (void) request_for("DELETE ", &n);
        CHECK_INT(n, 0);
}

static void test_labels(void)
{
        unsigned n = 0;
        begin();
        (void) json_array_clear(nodes);
        (void) json_array_clear(leases);
        add_node(OWN, "", 1000, 5);
        add_node(NODE_A, "", 1000, 5);
        add_node(NODE_B, "master", 1000, 5); /* has the address of an earlier master */
        add_node(NODE_C, "", 1000, 100);     /* not live: who knows what it will be */
        add_instance("i-c", NODE_C, "running", "node");
        look(true);
        (void) request_for("PATCH ", &n);
        CHECK_INT(n, 3);
        const char *patch = request_for("PATCH /api/v1/nodes/" OWN " ", NULL);
        CHECK_CONTAINS(patch, "\"node-role.kubernetes.io/control-plane\":\"\"");
        CHECK_CONTAINS(patch, "\"node-role.kubernetes.io/master\":\"\"");
        CHECK_CONTAINS(patch, "\"node-role.kubernetes.io/node\":null");
        patch = request_for("PATCH /api/v1/nodes/" NODE_B " ", NULL);
        CHECK_CONTAINS(patch, "\"node-role.kubernetes.io/control-plane\":null");
        CHECK_CONTAINS(patch, "\"node-role.kubernetes.io/master\":null");
        CHECK_CONTAINS(patch, "\"node-role.kubernetes.io/node\":\"\"");
        CHECK_CONTAINS(patch, "application/merge-patch+json");

        /* one of a master's labels is not enough; with both there is nothing to do */
        for (unsigned lacks = 0; lacks < 2; lacks++) {
                begin();
                (void) json_array_clear(nodes);
                (void) json_array_clear(leases);
                add_node(OWN, lacks ? "control-plane" : "master", 1000, 5);
                look(true);
                n = 0;
                (void) request_for("PATCH ", &n);
                CHECK_INT(n, lacks);
        }
}

#define CSR_OBJECT "/apis/certificates.k8s.io/v1/certificatesigningrequests/"

/* Whatever somebody asks who is not that instance, with a token that all nodes have. */
static void test_strangers(void)
{
        begin();
        add_node(NODE_B, "node", 1000, 5);
        add_node(NODE_C, "node", 1000, 500);
        (void) add_old_csr("csr-bare", NODE_A, 10);
        csr_prove(add_old_csr("csr-stale", NODE_A, 10), "ASIAA", 300);
        csr_prove(add_old_csr("csr-future", NODE_A, 10), "ASIAA", -300);
        csr_prove(add_old_csr("csr-malformed", NODE_A, 10), "ASIA/A", 10);
        add_csr("csr-forged", NODE_A, "ASIABAD");
        add_csr("csr-live", NODE_B, "ASIAA");   /* another's, who is there */
        add_csr("csr-silent", NODE_C, "ASIAA"); /* and another's, who is not heard of */
        add_instance("i-a", NODE_A, "running", "node");
        add_instance("i-b", NODE_B, "running", "node");
        add_instance("i-c", NODE_C, "running", "node");
        look(true);
        check_verdict("csr-bare", CSR_DELETE, "no proof of which instance asks");
        check_verdict("csr-malformed", CSR_DELETE, "no proof of which instance asks");
        check_verdict("csr-stale", CSR_DENY, "too far from AWS's clock");
        check_verdict("csr-future", CSR_DENY, "too far from AWS's clock");
        check_verdict("csr-forged", CSR_DENY, "STS refuses the proof: SignatureDoesNotMatch");
        check_verdict("csr-live", CSR_DENY,
                      "proven to be by 123456789012:kubernetes-node/i-a, and " NODE_B
                      " is 123456789012:kubernetes-node/i-b");
        check_verdict("csr-silent", CSR_DENY, "i-a, and " NODE_C);
        CHECK_INT(count_action("GetCallerIdentity"), 3);
        CHECK(request_for(
                "DELETE /apis/certificates.k8s.io/v1/certificatesigningrequests/csr-bare ", NULL));
        CHECK(!request_for("PUT /apis/certificates.k8s.io/v1/certificatesigningrequests/csr-bare",
                           NULL));
        CHECK_CONTAINS(
                request_for("PUT /apis/certificates.k8s.io/v1/certificatesigningrequests/csr-live/",
                            NULL),
                "Denied");
}

/* The proof must be by a node's role, of this account. */
static void test_other_callers(void)
{
        static char other[] = "another-role";
        char *known = boot.config.node_iam_role;
        begin();
        add_csr("csr-new", NODE_A, "ASIAA");
        add_instance("i-a", NODE_A, "running", "node");
        boot.config.node_iam_role = other;
        look(false);
        boot.config.node_iam_role = known;
        check_verdict("csr-new", CSR_DENY,
                      "kubernetes-node/i-a, and " NODE_A " is 123456789012:another-role/i-a");
        boot.account[0] = '2';
        look(false);
        boot.account[0] = '1';
        check_verdict("csr-new", CSR_DENY, "and " NODE_A " is 223456789012:");
}

/* Of one key's requests for one Node the oldest counts; all others are denied without a call. */
static void test_repeated(void)
{
        begin();
        csr_prove(add_old_csr("csr-second", NODE_A, 10), "ASIAA", 10);
        csr_prove(add_old_csr("csr-first", NODE_A, 20), "ASIAA", 10);
        csr_prove(add_old_csr("csr-other", NODE_A, 5), "ASIABAD", 10);
        add_instance("i-a", NODE_A, "running", "node");
        look(false);
        check_verdict("csr-first", CSR_APPROVE, "instance i-a runs");
        check_verdict("csr-second", CSR_DENY, "an older request is by the same key");
        check_verdict("csr-other", CSR_DENY, "STS refuses");
        CHECK_INT(count_action("GetCallerIdentity"), 2);
}

/* While STS does not answer, requests wait; over one proof it may fail, and answer the next. */
static void test_sts_fails(void)
{
        begin();
        add_csr("csr-a", NODE_A, "ASIAA");
        add_csr("csr-b", NODE_B, "ASIAB");
        add_instance("i-a", NODE_A, "running", "node");
        add_instance("i-b", NODE_B, "running", "node");
        sts_is_silent = true;
        look(true);
        sts_is_silent = false;
        check_verdict("csr-a", CSR_WAIT, "");
        check_verdict("csr-b", CSR_WAIT, "");
        CHECK_INT(count_action("GetCallerIdentity"), 2);
        CHECK(!request_for("PUT ", NULL) && !request_for("DELETE ", NULL));
}

/* A denied request stays for a minute, for its maker to read; a Node's own stay longer. */
static void test_denied_are_deleted(void)
{
        unsigned n = 0;
        begin();
        const int ages[] = { 50, 70, 70, 70 };
        for (size_t i = 0; i < ELEMENTS(ages); i++) {
                char name[16];
                (void) snprintf(name, sizeof(name), "csr-%zu", i);
                json_t *csr = add_old_csr(name, NODE_A, ages[i]);
                (void) json_object_set_new(
                        json_object_get(csr, "status"), "conditions",
                        json_pack("[{s:s}]", "type", i == 2 ? "Approved" : "Denied"));
                if (i == 3) {
                        csr_set(csr, "username", "\"system:node:" NODE_A "\"");
                        csr_set(csr, "groups", "[\"system:nodes\"]");
                }
        }
        look(true);
        CHECK(request_for("DELETE /apis/certificates.k8s.io/v1/certificatesigningrequests/csr-1 ",
                          &n));
        CHECK_INT(n, 1);
        (void) request_for("DELETE ", &n);
        CHECK_INT(n, 1);
        CHECK_INT(count_action("DescribeInstances"), 0);
}

/* Objects that are made to hold up the look, or to stay. */
static void test_hostile_objects(void)
{
        begin();
        json_t *kept = json_object_get(add_old_csr("csr-kept", NODE_A, 10), "metadata");
        (void) json_object_set_new(kept, "finalizers", json_pack("[s]", "x/y"));
        (void) json_object_set_new(kept, "deletionTimestamp", json_string("2026-01-01T00:00:00Z"));
        json_t *ending = json_object_get(add_old_csr("csr-ending", NODE_A, 10), "metadata");
        (void) json_object_set_new(ending, "deletionTimestamp",
                                   json_string("2026-01-01T00:00:00Z"));
        json_t *timeless = add_old_csr("csr-timeless", NODE_A, 10);
        (void) json_object_del(json_object_get(timeless, "metadata"), "creationTimestamp");
        csr_prove(add_old_csr("a?b c", NODE_A, 10), "ASIAA", 10);
        add_csr("csr-new", NODE_A, "ASIAC");
        add_instance("i-c", NODE_A, "running", "node");
        look(true);
        const char *patch = request_for("PATCH " CSR_OBJECT "csr-kept ", NULL);
        CHECK_CONTAINS(patch, "\"finalizers\":null");
        CHECK(request_for("DELETE " CSR_OBJECT "csr-kept ", NULL));
        CHECK(!request_for("DELETE " CSR_OBJECT "csr-ending", NULL));
        CHECK_CONTAINS(request_for("PUT " CSR_OBJECT "a%3Fb%20c/approval ", NULL), "Denied");
        CHECK_CONTAINS(request_for("PUT " CSR_OBJECT "csr-new/approval ", NULL), "Approved");
}

static char *one_fails(const char *request, unsigned number)
{
        return string_starts_with(request, "PUT " CSR_OBJECT "csr-a/")
                       ? make_reply("413 Large", "", "{\"message\":\"too large\"}")
                       : respond(request, number);
}

/* What fails keeps nothing else away. */
static void test_one_fails(void)
{
        StepStatus status;
        Error err = {};
        begin();
        add_csr("csr-a", NODE_A, "ASIAA");
        add_csr("csr-b", NODE_B, "ASIAB");
        add_node(NODE_C, "", 1000, 5);
        add_instance("i-a", NODE_A, "running", "node");
        add_instance("i-b", NODE_B, "running", "node");
        server_reset(&server, one_fails);
        work = true;
        CHECK(run_step(look_probe, NULL, MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_CONTAINS(err.message, "too large");
        CHECK(request_for("PUT " CSR_OBJECT "csr-b/approval ", NULL));
        CHECK(request_for("PATCH /api/v1/nodes/" NODE_C " ", NULL));
}

/* Of more requests than a look takes some are drawn, and renewals are all looked at. */
static void test_flood(void)
{
        begin();
        for (unsigned i = 0; i < 1500; i++) {
                char node[64], csr[32], key[32];
                (void) snprintf(node, sizeof(node), "ip-10-1-0-%u.ec2.internal", i);
                (void) snprintf(csr, sizeof(csr), "a-%u", i);
                (void) snprintf(key, sizeof(key), "ASIA%u", i);
                add_csr(csr, node, key);
        }
        json_t *renewal = add_old_csr("csr-renewal", NODE_B, 10);
        csr_set(renewal, "username", "\"system:node:" NODE_B "\"");
        csr_set(renewal, "groups", "[\"system:nodes\"]");
        add_instance("i-b", NODE_B, "running", "node");
        look(false);
        check_verdict("csr-renewal", CSR_APPROVE, "instance i-b runs");
        CHECK_INT(scene.n_csrs, 1025);
        CHECK_INT(count_action("DescribeInstances"), 3); /* of 100 names, and the renewal's */
        unsigned late = 0;
        FOREACH_ARRAY(seen, scene.csrs, scene.n_csrs) {
                late += strtoul(strempty(strchr(seen->csr.name, '-')) + 1, NULL, 10) >= 1024;
        }
        CHECK(late > 100); /* a third of them, of which some two thirds are drawn */
}

/* More than fit one question to EC2, and each answered in its place. */
static void test_many(void)
{
        begin();
        for (unsigned i = 0; i < 400; i++) {
                char node[64], id[32], csr[32], key[32];
                (void) snprintf(node, sizeof(node), "ip-10-0-0-%u.ec2.internal", i);
                (void) snprintf(id, sizeof(id), "i-%u", i);
                (void) snprintf(csr, sizeof(csr), "csr-%u", i);
                (void) snprintf(key, sizeof(key), "ASIA%u", i);
                if (i % 2) {
                        add_node(node, "node", 1000, 60);
                } else {
                        add_csr(csr, node, key);
                }
                add_instance(id, node, i % 10 ? "running" : "stopped", "node");
        }
        look(false);
        CHECK_INT(count_action("DescribeInstances"), 6); /* 200 Nodes, and 100 of those who ask */
        unsigned n[_CSR_VERDICT_MAX] = {};
        FOREACH_ARRAY(seen, scene.csrs, scene.n_csrs) {
                n[seen->verdict]++;
                CHECK_CONTAINS(seen->reason, seen->instance.instance_id);
                if (seen->verdict != CSR_WAIT) {
                        CHECK_INT(seen->verdict, strtoul(seen->csr.name + 4, NULL, 10) % 10
                                                         ? CSR_APPROVE
                                                         : CSR_DENY);
                }
        }
        CHECK_INT(n[CSR_WAIT], 100); /* the next look draws others */
        CHECK_INT(n[CSR_APPROVE] + n[CSR_DENY], 100);
        CHECK_INT(count_action("GetCallerIdentity"), n[CSR_APPROVE]);
        FOREACH_ARRAY(node, scene.nodes, scene.n_nodes) {
                CHECK(!nodes_is_gone(&boot, &scene, node));
        }
}

static char *ec2_fails(const char *request, unsigned number)
{
        return string_starts_with(request, "POST / ")
                       ? ec2_error("403 No", "UnauthorizedOperation", "no")
                       : respond(request, number);
}

/* Where EC2 does not answer nobody is let in, and nothing deleted. */
static void test_ec2_fails(void)
{
        unsigned n = 0;
        StepStatus status;
        Error err = {};
        begin();
        add_node(NODE_B, "node", 1000, 60);
        add_csr("csr-new", NODE_A, "ASIAA");
        server_reset(&server, ec2_fails);
        work = true;
        CHECK(run_step(look_probe, NULL, MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "ec2:DescribeInstances");
        (void) request_for("PUT ", &n);
        CHECK_INT(n, 0);
        (void) request_for("DELETE ", &n);
        CHECK_INT(n, 0);
}

static char *conflicts(const char *request, unsigned number)
{
        bool change = !string_starts_with(request, "GET ") && !string_starts_with(request, "POST ");
        return change ? make_reply("409 Conflict", "", "{\"message\":\"changed\"}")
                      : respond(request, number);
}

/* Somebody was faster: not a failure, and to be looked at again. */
static void test_conflict(void)
{
        begin();
        add_node(NODE_B, "node", 1000, 60);
        add_node(NODE_C, "", 1000, 5);
        add_csr("csr-new", NODE_A, "ASIAA");
        add_instance("i-a", NODE_A, "running", "node");
        server_reset(&server, conflicts);
        look(true);
        CHECK(nodes_have_work(&boot, &scene));
}

/* A client without which the plain server would not be asked. */
static void make_api(void)
{
        static char pem[256], url[64];
        Error err = {};
        _cleanup_key_ EVP_PKEY *key = NULL;
        _cleanup_x509_ X509 *x = NULL;
        _cleanup_secret_ Secret text = SECRET_INIT;
        const CertificateRequest request = { .common_name = "kube-bootstrap",
                                             .usage = CERTIFICATE_CLIENT,
                                             .names = &(StringList) {},
                                             .now = time(NULL),
                                             .days = 1 };
        (void) snprintf(pem, sizeof(pem), "%s/client.pem", test_folder());
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        if (certificate_key_new(&key, &err) < 0 ||
            certificate_issue(&request, key, NULL, NULL, &x, &err) < 0 ||
            certificate_to_pem(x, &text, &err) < 0 ||
            certificate_key_to_pem(key, &text, &err) < 0 ||
            file_write(pem, text.data, text.size, 0600, &err) < 0 ||
            kube_api_open_file(url, pem, pem, &api, &err) < 0) {
                (void) fprintf(stderr, "%s\n", err.message);
                exit(EXIT_FAILURE);
        }
}

int main(void)
{
        start_world();
        make_api();
        boot.config.cluster_name = blue;
        boot.config.cloud_provider = none;
        boot.config.role = ROLE_MASTER;
        boot.config.node_iam_role = node_role;
        (void) snprintf(boot.cluster_id, sizeof(boot.cluster_id), "cluster-1");
        (void) snprintf(boot.node_name, sizeof(boot.node_name), OWN);
        test_case("nodes: nothing to do, and EC2 is not asked", test_nothing_to_do);
        test_case("nodes: who is let in", test_requests);
        test_case("nodes: a node's token makes no master", test_master_is_not_for_nodes);
        test_case("nodes: whose machine is gone", test_gone);
        test_case("nodes: never its own, nor where a cloud provider does", test_gone_is_not_ours);
        test_case("nodes: names with capitals and with another domain", test_domains);
        test_case("nodes: labels", test_labels);
        test_case("nodes: strangers with a token", test_strangers);
        test_case("nodes: proofs by other roles and accounts", test_other_callers);
        test_case("nodes: one proof for each key and Node", test_repeated);
        test_case("nodes: STS does not answer", test_sts_fails);
        test_case("nodes: denied requests are deleted", test_denied_are_deleted);
        test_case("nodes: hostile objects", test_hostile_objects);
        test_case("nodes: one object fails", test_one_fails);
        test_case("nodes: a flood", test_flood);
        test_case("nodes: many at once", test_many);
        test_case("nodes: where EC2 refuses nothing is done", test_ec2_fails);
        test_case("nodes: a conflict is looked at again", test_conflict);
        nodes_scene_done(&scene);
        kube_api_free(api);
        json_decref(nodes);
        json_decref(leases);
        json_decref(csrs);
        free(ec2_items);
        server_reset(&server, NULL);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        http_done();
        return test_done();
}
