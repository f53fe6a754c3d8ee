/* SPDX-License-Identifier: Apache-2.0 */

/* The way into the cluster, against a real API server and controller manager with the cluster's own
 * secrets: in a mount and a network namespace of the test's own, where SECRETS_DIR and port 443 are
 * nobody else's. EC2 and S3 are the test's. KUBERNETES names the folder of the programs. */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/log.h"
#include "cluster/certificate.h"
#include "cluster/kubeconfig.h"
#include "cluster/pki.h"
#include "csr_maker.h"
#include "ec2_world.h"
#include "local_daemon.h"
#include "steps/api.h"
#include "steps/kubelet/join.h"
#include "steps/ready.h"

#define OWN     "ip-172-20-128-10.ec2.internal"
#define NODE_A  "ip-172-20-144-10.ec2.internal"
#define NODE_B  "ip-172-20-144-11.ec2.internal"
#define STOPPED "ip-172-20-144-12.ec2.internal"
#define GONE    "ip-172-20-144-13.ec2.internal"

#define MINE       SECRETS_DIR "/kube-bootstrap.kubeconfig"
#define TOKEN_PATH "/api/v1/namespaces/kube-system/secrets/bootstrap-token-%s"
#define CSR_PATH   "/apis/certificates.k8s.io/v1/certificatesigningrequests/%s"

static char kubernetes[256];
static Daemon etcd, apiserver, controllers;
static char *object; /* what the bucket holds at JOIN_OBJECT, or NULL */
static char blue[] = "blue", none[] = "none", bucket_name[] = "bucket-1", prefix[] = "pki";
static char node_token_id[8];

#define INSTANCE_XML(id, state, name, role)                                             \
        "<item><instanceId>" id "</instanceId><instanceState><name>" state              \
        "</name></instanceState><networkInterfaceSet><item><privateDnsName>" name       \
        "</privateDnsName><attachment><deviceIndex>0</deviceIndex></attachment></item>" \
        "</networkInterfaceSet><tagSet><item><key>KubernetesRole</key><value>" role     \
        "</value></item></tagSet></item>"

static char *respond(const char *request, unsigned number)
{
        (void) number;
        if (string_starts_with(request, "POST / ")) {
                return ec2_reply(
                        "<reservationSet><item><instancesSet>" INSTANCE_XML("i-m", "running", OWN,
                                                                            "master")
                                INSTANCE_XML("i-a", "running", NODE_A, "node")
                                        INSTANCE_XML("i-b", "running", NODE_B, "node") INSTANCE_XML(
                                                "i-s", "stopped", STOPPED,
                                                "node") "</instancesSet></item></reservationSet>");
        }
        if (!string_starts_with(request + 4, "/bucket-1/pki/node/join.json")) {
                return make_reply("400 Bad", "", "");
        }
        if (string_starts_with(request, "PUT ")) {
                free(object);
                object = strdup(strstr(request, "\r\n\r\n") + 4);
                return make_reply("200 OK", "ETag: \"x\"\r\n", "");
        }
        return object ? make_reply("200 OK", "ETag: \"x\"\r\n", object)
                      : make_reply("404 None", "", "<Error><Code>NoSuchKey</Code></Error>");
}

static int find_kubernetes(void)
{
        const char *given = getenv("KUBERNETES"), *cache = getenv("LAB_CACHE");
        char pattern[256];
        glob_t found = {};
        (void) snprintf(pattern, sizeof(pattern), "%s/kube-apiserver", given ? given : "");
        if (!given) {
                (void) snprintf(pattern, sizeof(pattern), "%s/kubernetes/*/kube-apiserver",
                                cache ? cache : "/var/cache/kube-bootstrap-lab");
        }
        int r = glob(pattern, 0, NULL, &found);
        if (r == 0) {
                (void) snprintf(kubernetes, sizeof(kubernetes), "%.*s",
                                (int) (strlen(found.gl_pathv[0]) - strlen("/kube-apiserver")),
                                found.gl_pathv[0]);
        }
        globfree(&found);
        return r;
}

/* A machine's own: its secrets' folder, and its loopback. */
static int unshare_machine(void)
{
        return unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
                               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                               mount("tmpfs", "/srv", "tmpfs", 0, NULL) == 0 &&
                               mkdir("/srv/kubernetes", 0700) == 0 &&
                               mkdir("/srv/kubernetes/kubelet", 0700) == 0
                       ? shell("ip link set lo up")
                       : -errno;
}

static int make_secrets(void)
{
        static PkiFiles files;
        Error err = {};
        const PkiFacts facts = {
                .cluster_name = blue,
                .public_ip = "203.0.113.10",
                .private_ip = "172.20.128.9",
                .service_network = { 0x0a000000, 16 },
                .cluster_domain = "cluster.local",
                .api_dns_name = "",
                .now = time(NULL),
        };
        int r = pki_make(&facts, &files, &err);
        FOREACH_ARRAY(file, files.files, files.n) {
                char path[128];
                (void) snprintf(path, sizeof(path), SECRETS_DIR "/%s", file->name);
                if (r >= 0 && file->folder == ARTIFACTS_MASTER) {
                        r = file_write(path, file->content.data, file->content.size, file->mode,
                                       &err);
                }
        }
        pki_files_done(&files);
        return r;
}

static void start_cluster(void)
{
        daemon_start(&etcd,
                     "cd %s && exec etcd --data-dir etcd --listen-client-urls http://127.0.0.1:2379"
                     " --advertise-client-urls http://127.0.0.1:2379"
                     " --listen-peer-urls http://127.0.0.1:2380 > etcd.log 2>&1",
                     test_folder());
        daemon_start(&apiserver,
                     "cd " SECRETS_DIR " && exec %s/kube-apiserver --bind-address=127.0.0.1"
                     " --secure-port=443 --insecure-port=0 --advertise-address=127.0.0.1"
                     " --etcd-servers=http://127.0.0.1:2379 --tls-cert-file=apiserver.crt"
                     " --tls-private-key-file=apiserver.key --client-ca-file=ca.crt"
                     " --service-cluster-ip-range=10.0.0.0/16 --anonymous-auth=false"
                     " --enable-bootstrap-token-auth=true --authorization-mode=Node,RBAC"
                     " --enable-admission-plugins=NodeRestriction"
                     " --service-account-issuer=https://kubernetes.default.svc"
                     " --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key"
                     " --encryption-provider-config=encryption-config.yaml"
                     " > %s/apiserver.log 2>&1",
                     kubernetes, test_folder());
        daemon_start(
                &controllers,
                "cd " SECRETS_DIR " && while :; do %s/kube-controller-manager"
                " --kubeconfig=kube-controller-manager.kubeconfig --leader-elect=false"
                " --port=0 --controllers=csrsigning,serviceaccount-token "
                "--cluster-signing-cert-file=ca.crt"
                " --cluster-signing-key-file=ca.key --use-service-account-credentials"
                " --service-account-private-key-file=sa.key >> %s/controllers.log 2>&1; sleep 0.5; "
                "done",
                kubernetes, test_folder());
}

static int kubectl(const char *kubeconfig, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
static int kubectl(const char *kubeconfig, const char *format, ...)
{
        char arguments[700];
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(arguments, sizeof(arguments), format, ap);
        va_end(ap);
        return shell("%s/kubectl --cache-dir=%s/cache --kubeconfig=%s %s", kubernetes,
                     test_folder(), kubeconfig, arguments);
}

/* 1, or 0 if there is none; the object, where ret is not NULL. */
static int get(json_t **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int get(json_t **ret, const char *format, ...)
{
        char path[300];
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = NULL;
        json_auto_t *json = NULL;
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(path, sizeof(path), format, ap);
        va_end(ap);
        CHECK_OK(api_open(&boot, &api, &err), err);
        int r = kube_api_get(api, path, &wait, &json, &err);
        if (ret) {
                *ret = json_incref(json);
        }
        return r;
}

static const char *label_of(const char *node, const char *role)
{
        static char text[16];
        json_auto_t *json = NULL;
        _cleanup_free_ char *label = string_format("node-role.kubernetes.io/%s", role);
        (void) get(&json, "/api/v1/nodes/%s", node);
        const json_t *labels = json_object_get(json_object_get(json, "metadata"), "labels");
        const char *value = json_string_value(json_object_get(labels, label));
        (void) snprintf(text, sizeof(text), "%s", value ? value : "(none)");
        return text;
}

static void test_starts(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = NULL;
        CHECK_OK(api_open(&boot, &api, &err), err);
        REQUIRE(api);
        CHECK_INT(kube_api_is_ready(api, &wait, &err), 0); /* nobody listens yet */
        start_cluster();
        int r;
        while ((r = kube_api_is_ready(api, &wait, &err)) == 0 &&
               wait_sleep(&wait, 200, &err) == 0) {
                ;
        }
        CHECK_INT(r, 1);
}

static unsigned attempts(StepFunction *probe, StepFunction *apply)
{
        StepStatus status;
        Error err = {};
        CHECK_OK(run_step(probe, apply, MACHINE_CONVERGE, &status, &err), err);
        return status.attempts;
}

/* What kubectl finds in all ClusterRoleBindings of ours: a line NAME ROLE SUBJECTS each. */
static const char *roles_found(void)
{
        static char text[2048];
        Error err = {};
        char path[300];
        _cleanup_buffer_ Buffer found = {};
        (void) snprintf(path, sizeof(path), "%s/roles", test_folder());
        CHECK_INT(
                kubectl(MINE,
                        "get clusterrolebindings -o jsonpath='{range .items[*]}{.metadata.name} "
                        "{.roleRef.name} {.subjects[*].kind} {.subjects[*].name}{\"\\n\"}{end}' | "
                        "grep kube-bootstrap: > %s",
                        path),
                0);
        CHECK_OK(file_read(path, sizeof(text) - 1, &found, &err), err);
        (void) snprintf(text, sizeof(text), "%s", found.data);
        return text;
}

#define ROLES_OF_DOCKER                                                    \
        "kube-bootstrap:kubelet-api-admin system:kubelet-api-admin User "  \
        "kube-apiserver-kubelet-client\n"                                  \
        "kube-bootstrap:node-bootstrapper system:node-bootstrapper Group " \
        "system:bootstrappers:kube-bootstrap\n"
#define ROLES_OF_CONTAINERD \
        ROLES_OF_DOCKER "kube-bootstrap:node-proxier system:node-proxier Group system:nodes\n"

/* Each is given where it is missing, has another subject, or is of another role. */
static void test_roles(void)
{
        CHECK_INT(attempts(roles_probe, roles_apply), 1);
        CHECK_STR(roles_found(), ROLES_OF_DOCKER);
        CHECK_INT(attempts(roles_probe, roles_apply), 0);

        boot.images.runtime = RUNTIME_CONTAINERD;
        CHECK_INT(attempts(roles_probe, roles_apply), 1);
        CHECK_STR(roles_found(), ROLES_OF_CONTAINERD);
        CHECK_INT(attempts(roles_probe, roles_apply), 0);

        CHECK_INT(kubectl(MINE, "patch clusterrolebinding kube-bootstrap:node-proxier -p "
                                "'{\"subjects\":[{\"kind\":\"User\",\"name\":\"x\"}]}'"),
                  0);
        CHECK_INT(attempts(roles_probe, roles_apply), 1);
        CHECK_STR(roles_found(), ROLES_OF_CONTAINERD);

        CHECK_INT(kubectl(MINE, "delete clusterrolebinding kube-bootstrap:node-proxier"), 0);
        CHECK_INT(kubectl(MINE, "create clusterrolebinding kube-bootstrap:node-proxier "
                                "--clusterrole=view --group=system:nodes"),
                  0);
        CHECK_INT(attempts(roles_probe, roles_apply), 1);
        CHECK_STR(roles_found(), ROLES_OF_CONTAINERD);
        boot.images.runtime = RUNTIME_DOCKER;
}

/* The token of a document, by the reader that nodes have. */
static JoinToken token_of(const char *text)
{
        JoinToken token = {};
        Error err = {};
        CHECK_OK(join_document_parse(text ? text : "", text ? strlen(text) : 0, &token, &err), err);
        return token;
}

static int ensure_local(void *userdata, StepContext *context, Error *err)
{
        int r = join_ensure_local(userdata, context, err);
        return r < 0 ? r : 1;
}

static void test_tokens(void)
{
        Error err = {};
        JoinToken own = {}, again = {};
        CHECK_INT(join_local_probe(&boot, &err), 0);
        (void) attempts(ensure_local, NULL);
        CHECK_INT(join_local_probe(&boot, &err), 1);
        CHECK_INT(join_local_token(&own, &err), 1);
        (void) attempts(ensure_local, NULL);
        CHECK_INT(join_local_token(&again, &err), 1);
        CHECK_STR(again.id, own.id); /* it is kept */

        CHECK_INT(attempts(join_token_probe, join_token_apply), 1);
        JoinToken nodes = token_of(object);
        (void) snprintf(node_token_id, sizeof(node_token_id), "%s", nodes.id);
        CHECK(!streq(nodes.id, own.id));
        CHECK_INT(get(NULL, TOKEN_PATH, nodes.id), 1);
        CHECK_INT(get(NULL, TOKEN_PATH, own.id), 1);
        CHECK_INT(attempts(join_token_probe, join_token_apply), 0); /* and is so */

        /* the next master: another token of its own, the nodes' one as it is */
        CHECK_OK(file_remove(JOIN_FILE, &err), err);
        (void) attempts(ensure_local, NULL);
        CHECK_INT(attempts(join_token_probe, join_token_apply), 1);
        CHECK_STR(token_of(object).id, node_token_id);
        CHECK_INT(join_local_token(&again, &err), 1);
        CHECK(!streq(again.id, own.id));
}

/* A token goes when it is over, half its life before there is another; one that the cluster does
 * not know is as good as none. */
static void test_tokens_renewed(void)
{
        JoinToken old = token_of(object);
        CHECK_INT(kubectl(MINE, "-n kube-system delete secret bootstrap-token-%s", old.id), 0);
        CHECK_INT(attempts(join_token_probe, join_token_apply), 1);
        JoinToken renewed = token_of(object);
        CHECK(!streq(renewed.id, old.id));

        boot.config.join_token_s = 4 * 86400; /* so what is there has less than half of it left */
        CHECK_INT(attempts(join_token_probe, join_token_apply), 1);
        CHECK(!streq(token_of(object).id, renewed.id));
        CHECK_INT(get(NULL, TOKEN_PATH, renewed.id), 1);
        CHECK_INT(kubectl(MINE,
                          "-n kube-system patch secret bootstrap-token-%s -p "
                          "'{\"stringData\":{\"expiration\":\"2020-01-01T00:00:00Z\"}}'",
                          renewed.id),
                  0);
        CHECK_INT(attempts(join_token_probe, join_token_apply), 1);
        CHECK_INT(get(NULL, TOKEN_PATH, renewed.id), 0);

        free(object);
        object = strdup("rubbish");
        CHECK_INT(attempts(join_token_probe, join_token_apply), 1);
        boot.config.join_token_s = 86400;
        (void) token_of(object);
}

/* A request as kubelet makes it, with what join_render_bootstrap_kubeconfig() gave it. The token is
 * that of JOIN_FILE (the master's) or of the bucket. */
static void write_bootstrap_kubeconfig(const char *path, bool master)
{
        Error err = {};
        _cleanup_secret_ Secret kept = SECRET_INIT, text = SECRET_INIT;
        CHECK_OK(file_read(JOIN_FILE, 4096, &kept, &err), err);
        if (!master) {
                CHECK_OK(file_write(JOIN_FILE, object, strlen(object), 0600, &err), err);
        }
        CHECK_OK(join_render_bootstrap_kubeconfig(&boot, &text, &err), err);
        CHECK_OK(file_write(path, text.data, text.size, 0600, &err), err);
        CHECK_OK(file_write(JOIN_FILE, kept.data, kept.size, 0600, &err), err);
}

static EVP_PKEY *node_key; /* of every request */

static int request(const char *kubeconfig, const char *csr, const char *node)
{
        char path[300];
        Error err = {};
        _cleanup_free_ char *cn = string_format("system:node:%s", node);
        const Wanted wanted = { .common_name = cn,
                                .organization = "system:nodes",
                                .key = node_key };
        json_auto_t *body = csr_object(csr, "2026-01-01T00:00:00Z", &wanted);
        (void) json_object_set_new(body, "apiVersion", json_string("certificates.k8s.io/v1"));
        (void) json_object_set_new(body, "kind", json_string("CertificateSigningRequest"));
        (void) json_object_del(json_object_get(body, "metadata"), "resourceVersion");
        _cleanup_free_ char *text = json_dumps(body, 0);
        (void) snprintf(path, sizeof(path), "%s/%s.json", test_folder(), csr);
        CHECK_OK(file_write(path, text, strlen(text), 0600, &err), err);
        return kubectl(kubeconfig, "create --validate=false -f %s", path);
}

/* "Approved", "Denied", or "" while it is neither. */
static const char *outcome(const char *csr)
{
        static char text[64];
        json_auto_t *json = NULL;
        CHECK_INT(get(&json, CSR_PATH, csr), 1);
        const json_t *conditions = json_object_get(json_object_get(json, "status"), "conditions");
        (void) snprintf(text, sizeof(text), "%s",
                        kube_api_text(json_array_get(conditions, 0), "type"));
        return text;
}

/* Registers a Node as its kubelet would, its Lease renewed so long ago. */
static void make_node(const char *name, int lease_s)
{
        char renewed[40], path[256];
        Error err = {};
        time_t then = time(NULL) - lease_s;
        struct tm tm;
        (void) strftime(renewed, sizeof(renewed), "%Y-%m-%dT%H:%M:%S.000000Z",
                        gmtime_r(&then, &tm));
        (void) snprintf(path, sizeof(path), "%s/node.yaml", test_folder());
        _cleanup_free_ char *text =
                string_format("apiVersion: v1\nkind: Node\nmetadata: {name: %s}\n---\n"
                              "apiVersion: coordination.k8s.io/v1\nkind: Lease\n"
                              "metadata: {name: %s, namespace: kube-node-lease}\n"
                              "spec: {renewTime: \"%s\", holderIdentity: x}\n",
                              name, name, renewed);
        CHECK_OK(file_write(path, text, strlen(text), 0600, &err), err);
        CHECK_INT(kubectl(MINE, "apply -f %s", path), 0);
}

/* Writes this machine's Node's condition as its kubelet would, so long ago. */
static void say_ready(const char *is_ready, int heartbeat_s)
{
        char heard[40];
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = NULL;
        time_t then = time(NULL) - heartbeat_s;
        struct tm tm;
        (void) strftime(heard, sizeof(heard), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &tm));
        json_auto_t *body = json_pack("{s:{s:[{s:s, s:s, s:s}]}}", "status", "conditions", "type",
                                      "Ready", "status", is_ready, "lastHeartbeatTime", heard);
        CHECK_OK(api_open(&boot, &api, &err), err);
        CHECK_INT(kube_api_change(api, KUBE_API_PATCH, "/api/v1/nodes/" OWN "/status", body, &wait,
                                  &err),
                  1);
}

static int node_probe(void *userdata, StepContext *context, Error *err)
{
        return ready_look_at_node(userdata, context, err);
}

static bool is_node_ready(void)
{
        StepStatus status;
        Error err = {};
        CHECK_OK(run_step(node_probe, NULL, MACHINE_PLAN, &status, &err), err);
        return status.state == STEP_DONE;
}

/* kubelet is heard of by its Lease and by what it writes into its Node:
 * https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats */
static void test_node(void)
{
        CHECK(!is_node_ready()); /* there is none */
        make_node(OWN, 0);
        CHECK(!is_node_ready()); /* which has said nothing */
        say_ready("False", 0);
        CHECK(!is_node_ready());
        say_ready("True", 100);
        CHECK(is_node_ready());
        make_node(OWN, 100);
        CHECK(!is_node_ready()); /* both are old */
        say_ready("True", 0);
        CHECK(is_node_ready());
        CHECK_INT(kubectl(MINE, "-n kube-node-lease delete lease " OWN), 0);
        CHECK(is_node_ready()); /* a new one has no Lease yet */
        say_ready("True", 100);
        CHECK(!is_node_ready());
        CHECK_INT(kubectl(MINE, "delete node " OWN), 0);
}

/* The certificate that the request led to, with its key, as kubelet keeps them. */
static void take_certificate(const char *csr, const char *pem_path)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_secret_ Secret pem = SECRET_INIT;
        do {
                json_auto_t *json = NULL;
                CHECK_INT(get(&json, CSR_PATH, csr), 1);
                const char *text = kube_api_text(json, "status.certificate");
                CHECK_INT(base64_decode(text, strlen(text), &pem), 0);
        } while (pem.size == 0 && wait_sleep(&wait, 300, &err) == 0);
        CHECK_OK(certificate_key_to_pem(node_key, &pem, &err), err);
        CHECK_OK(file_write(pem_path, pem.data, pem.size, 0600, &err), err);
}

/* As if this machine's own kubelet had its certificate: nodes waits for that. */
static void own_certificate(void)
{
        Error err = {};
        _cleanup_buffer_ Buffer pem = {};
        CHECK_OK(file_read(SECRETS_DIR "/apiserver-kubelet-client.crt", 1 << 16, &pem, &err), err);
        CHECK_OK(file_make_directory(KUBELET_CERTS, 0700, &err), err);
        _cleanup_buffer_ Buffer authority = {};
        CHECK_OK(file_read(SECRETS_DIR "/ca.crt", 65536, &authority, &err), err);
        CHECK_OK(file_write(KUBELET_AUTHORITY, authority.data, authority.size, 0644, &err), err);
        CHECK_OK(file_write(KUBELET_CLIENT_PEM, pem.data, pem.size, 0600, &err), err);
}

static void test_requests(void)
{
        own_certificate();
        char nodes[256], master[256];
        (void) snprintf(nodes, sizeof(nodes), "%s/nodes.kubeconfig", test_folder());
        (void) snprintf(master, sizeof(master), "%s/master.kubeconfig", test_folder());
        write_bootstrap_kubeconfig(nodes, false);
        write_bootstrap_kubeconfig(master, true);
        make_node(OWN, 0);
        make_node(NODE_B, 0);
        make_node(GONE, 100);
        CHECK_INT(request(nodes, "node-csr-a_1", NODE_A), 0);
        CHECK_INT(request(nodes, "csr-live", NODE_B), 0);
        CHECK_INT(request(nodes, "csr-stopped", STOPPED), 0);
        CHECK_INT(request(nodes, "csr-stranger", "ip-1.ec2.internal"), 0);
        CHECK_INT(request(nodes, "csr-admin", "*"), 0);
        CHECK_INT(request(master, "csr-as-master", NODE_A), 0);
        CHECK_INT(attempts(nodes_probe, nodes_apply), 1);
        CHECK_STR(outcome("node-csr-a_1"), "Approved");
        CHECK_STR(outcome("csr-live"), "");
        CHECK_STR(outcome("csr-stopped"), "Denied");
        CHECK_STR(outcome("csr-stranger"), ""); /* EC2 may show it yet */
        CHECK_STR(outcome("csr-admin"), "Denied");
        CHECK_STR(outcome("csr-as-master"), "Denied");
        CHECK_INT(get(NULL, "/api/v1/nodes/" GONE), 0); /* deleted */
        CHECK_INT(get(NULL, "/api/v1/nodes/" NODE_B), 1);
        CHECK_STR(label_of(OWN, "master"), "");
        CHECK_STR(label_of(OWN, "node"), "(none)");
        CHECK_STR(label_of(NODE_B, "node"), "");
        CHECK_INT(attempts(nodes_probe, nodes_apply), 0);
}

/* A node's token never makes a master, and the master's own does while its Node is not live. */
static void test_master(void)
{
        char nodes[256], master[256];
        (void) snprintf(nodes, sizeof(nodes), "%s/nodes.kubeconfig", test_folder());
        (void) snprintf(master, sizeof(master), "%s/master.kubeconfig", test_folder());
        make_node(OWN, 100);
        CHECK_INT(request(nodes, "csr-usurper", OWN), 0);
        CHECK_INT(request(master, "csr-master", OWN), 0);
        CHECK_INT(attempts(nodes_probe, nodes_apply), 1);
        CHECK_STR(outcome("csr-usurper"), "Denied");
        CHECK_STR(outcome("csr-master"), "Approved");
        make_node(OWN, 0);
}

/* What comes of it: a certificate with which the daemon asks for its own Node, may do nothing to
 * others', and which renews itself. */
static void test_certificate(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = NULL;
        json_auto_t *node = NULL, *other = NULL;
        char config[256];
        CHECK_OK(file_remove(KUBELET_CLIENT_PEM, &err), err);
        CHECK_INT(join_has_certificate(&err), 0);
        take_certificate("node-csr-a_1", KUBELET_CLIENT_PEM);
        CHECK_INT(join_has_certificate(&err), 1);
        make_node(NODE_A, 0);
        CHECK_OK(kube_api_open_file("https://127.0.0.1:443", SECRETS_DIR "/ca.crt",
                                    KUBELET_CLIENT_PEM, &api, &err),
                 err);
        REQUIRE(api);
        CHECK_INT(kube_api_get(api, "/api/v1/nodes/" NODE_A, &wait, &node, &err), 1);
        CHECK_STR(kube_api_text(node, "metadata.name"), NODE_A);
        CHECK_INT(kube_api_get(api, "/api/v1/namespaces/kube-system/secrets", &wait, &other, &err),
                  -EACCES);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "system:node:" NODE_A);

        (void) snprintf(config, sizeof(config), "%s/a.kubeconfig", test_folder());
        static const char text[] =
                "{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"current-context\":\"x\","
                "\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
                "\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":"
                "\"https://127.0.0.1:443\",\"certificate-authority\":\"" SECRETS_DIR
                "/ca.crt\"}}],\"users\":[{\"name\":\"u\",\"user\":{\"client-certificate\":"
                "\"" KUBELET_CLIENT_PEM "\",\"client-key\":\"" KUBELET_CLIENT_PEM "\"}}]}";
        CHECK_OK(file_write(config, text, strlen(text), 0600, &err), err);
        CHECK_INT(request(config, "csr-renewal", NODE_A), 0);
        CHECK_INT(request(config, "csr-other", NODE_B), 0);
        CHECK_INT(attempts(nodes_probe, nodes_apply), 1);
        CHECK_STR(outcome("csr-renewal"), "Approved");
        CHECK_STR(outcome("csr-other"), "Denied");
        CHECK_OK(file_remove(KUBELET_CLIENT_PEM, &err), err);
}

/* kubelet's certificate of another cluster, or of one whose keys are new, is none. */
static void test_foreign_certificate(void)
{
        Error err = {};
        _cleanup_x509_ X509 *x = NULL;
        _cleanup_secret_ Secret pem = SECRET_INIT;
        const CertificateRequest wanted = { .common_name = "system:node:" OWN,
                                            .organization = "system:nodes",
                                            .usage = CERTIFICATE_CLIENT,
                                            .names = &(StringList) {},
                                            .now = time(NULL),
                                            .days = 1 };
        CHECK_OK(certificate_issue(&wanted, node_key, NULL, NULL, &x, &err), err);
        CHECK_OK(certificate_to_pem(x, &pem, &err), err);
        CHECK_OK(file_write(KUBELET_CLIENT_PEM, pem.data, pem.size, 0600, &err), err);
        CHECK_INT(join_has_certificate(&err), 0);
        CHECK_OK(file_write(KUBELET_CLIENT_PEM, "half", 4, 0600, &err), err);
        CHECK_INT(join_has_certificate(&err), 0);
        CHECK_OK(file_remove(KUBELET_CLIENT_PEM, &err), err);
}

/* A token that expired while the master was down leads to no certificate. The retry looks for
 * another one. */
static void test_expired_token(void)
{
        StepStatus status;
        Error err = {};
        _cleanup_secret_ Secret text = SECRET_INIT;
        time_t now = time(NULL);
        JoinToken token = { "abcdef", "0123456789abcdef", now };
        token.expires = now + 1 - join_token_left_s(&token, now);
        CHECK_OK(join_document_format(&token, &text, &err), err);
        CHECK_OK(file_write(JOIN_FILE, text.data, text.size, 0600, &err), err);
        deadline_s = 4;
        CHECK(run_step(kubelet_join_probe, kubelet_join_apply, MACHINE_CONVERGE, &status, &err) <
              0);
        CHECK_CONTAINS(err.message, "whose time is over");
        deadline_s = 60;
}

static int fetch(void *userdata, StepContext *context, Error *err)
{
        int r = join_fetch(userdata, context, err);
        return r < 0 ? r : 1;
}

/* A node takes what the bucket has, and only what lives. */
static void test_fetch(void)
{
        StepStatus status;
        Error err = {};
        JoinToken token = {};
        CHECK_OK(file_remove(JOIN_FILE, &err), err);
        (void) attempts(fetch, NULL);
        CHECK_INT(join_local_token(&token, &err), 1);
        CHECK_STR(token.id, token_of(object).id);

        /* one that has led to nothing is fetched anew; the master's own is not doubted */
        const struct timespec long_ago[2] = { { time(NULL) - 1000, 0 }, { time(NULL) - 1000, 0 } };
        CHECK_INT(utimensat(AT_FDCWD, JOIN_FILE, long_ago, 0), 0);
        CHECK_INT(join_local_probe(&boot, &err), 1);
        boot.config.role = ROLE_NODE;
        CHECK_INT(join_local_probe(&boot, &err), 0);
        (void) attempts(fetch, NULL);
        CHECK_INT(join_local_probe(&boot, &err), 1);
        boot.config.role = ROLE_MASTER;

        CHECK_OK(file_remove(JOIN_FILE, &err), err);
        free(object);
        object = strdup("{\"schema\":1,\"token\":\"abcdef.0123456789abcdef\","
                        "\"expires\":\"2020-01-01T00:00:00Z\"}");
        deadline_s = 2;
        CHECK(run_step(fetch, NULL, MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(join_local_token(&token, &err), 0);
}

static const TestCase cases[] = {
        { "the API server is ready", test_starts },
        { "the cluster's parts have their roles", test_roles },
        { "a Node is ready while its kubelet is heard of", test_node },
        { "tokens are made, known and left for nodes", test_tokens },
        { "tokens are renewed, and go", test_tokens_renewed },
        { "who is let in", test_requests },
        { "who is let in as master", test_master },
        { "what a certificate opens", test_certificate },
        { "a certificate of another cluster", test_foreign_certificate },
        { "a token that leads to no certificate in its time", test_expired_token },
        { "a node fetches its token", test_fetch },
};

static const char *why_not(void)
{
        return geteuid() != 0           ? "needs root"
               : find_kubernetes() != 0 ? "no kube-apiserver: test/lab/images/kubernetes makes it"
               : unshare_machine() < 0  ? "no namespaces here"
               : shell("command -v etcd") < 0 ? "no etcd"
               : make_secrets() < 0           ? "no secrets"
                                              : NULL;
}

int main(void)
{
        Error err = {};
        log_set_max_priority(LOG_WARNING); /* not each child's end */
        const char *reason = why_not();
        if (reason) {
                test_chain(reason, cases, ELEMENTS(cases));
                return test_done();
        }
        start_world();
        (void) setenv("AWS_ENDPOINT_URL_S3", getenv("AWS_ENDPOINT_URL_EC2"), 1);
        server_reset(&server, respond);
        boot.config = (StackConfig) { .role = ROLE_MASTER,
                                      .cluster_name = blue,
                                      .cloud_provider = none,
                                      .s3_bucket = bucket_name,
                                      .s3_prefix = prefix,
                                      .join_token_s = 86400 };
        boot.config_known = true;
        (void) snprintf(boot.node_name, sizeof(boot.node_name), OWN);
        node_key = EVP_EC_gen("P-256");
        if (s3_bucket_new(boot.aws, bucket_name, "123456789012", "", &boot.bucket, &err) < 0) {
                abort();
        }
        deadline_s = 60;
        test_chain(NULL, cases, ELEMENTS(cases));
        daemon_stop(&controllers);
        daemon_stop(&apiserver);
        daemon_stop(&etcd);
        EVP_PKEY_free(node_key);
        s3_bucket_free(boot.bucket);
        server_reset(&server, NULL);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        free(object);
        http_done();
        return test_done();
}
