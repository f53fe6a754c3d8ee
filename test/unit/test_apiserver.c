/* SPDX-License-Identifier: Apache-2.0 */

/* The way into the cluster, against a real API server and controller manager with the cluster's own
 * secrets: in a mount and a network namespace of the test's own, where SECRETS_DIR and port 443 are
 * nobody else's. EC2 and S3 are the test's. KUBERNETES names the folder of the programs. */

#include <arpa/inet.h>
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
#include "steps/nodes/nodes_internal.h"
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
static char node_role[] = "kubernetes-node";

#define INSTANCE_XML(id, state, name, role)                                             \
        "<item><instanceId>" id "</instanceId><instanceState><name>" state              \
        "</name></instanceState><networkInterfaceSet><item><privateDnsName>" name       \
        "</privateDnsName><attachment><deviceIndex>0</deviceIndex></attachment></item>" \
        "</networkInterfaceSet><tagSet><item><key>KubernetesRole</key><value>" role     \
        "</value></item></tagSet></item>"

static char *respond(const char *request, unsigned number)
{
        (void) number;
        if (is_action(request, "GetCallerIdentity")) {
                return sts_reply(request, node_role);
        }
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

#define ROLES_OF_DOCKER                                                   \
        "kube-bootstrap:kubelet-api-admin system:kubelet-api-admin User " \
        "kube-apiserver-kubelet-client\n"                                 \
        "kube-bootstrap:node-bootstrapper kube-bootstrap:join Group "     \
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

        CHECK_INT(kubectl(MINE,
                          "patch clusterrole kube-bootstrap:join --type=json -p "
                          "'[{\"op\":\"add\",\"path\":\"/rules/0/verbs/-\",\"value\":\"list\"}]'"),
                  0);
        CHECK_INT(attempts(roles_probe, roles_apply), 1);
        CHECK_INT(attempts(roles_probe, roles_apply), 0);
}

/* The token of a document, by the reader that nodes have. */
static JoinToken token_of(const char *text)
{
        JoinToken token = {};
        Error err = {};
        CHECK_OK(join_document_parse(text ? text : "", text ? strlen(text) : 0, &token, &err), err);
        return token;
}

static void test_tokens(void)
{
        CHECK_INT(attempts(join_token_probe, join_token_apply), 1);
        JoinToken nodes = token_of(object);
        CHECK_INT(get(NULL, TOKEN_PATH, nodes.id), 1);
        CHECK_INT(attempts(join_token_probe, join_token_apply), 0); /* and is so */
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

/* The kubeconfig of a holder of this token. */
static void write_token_kubeconfig(const char *path, const JoinToken *token)
{
        Error err = {};
        _cleanup_free_ char *text = string_format(
                "{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"current-context\":\"x\","
                "\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
                "\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":"
                "\"https://127.0.0.1:443\",\"certificate-authority\":\"" SECRETS_DIR
                "/ca.crt\"}}],\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"%s.%s\"}}]}",
                token->id, token->secret);
        CHECK_OK(file_write(path, text, strlen(text), 0600, &err), err);
}

static EVP_PKEY *node_key; /* of every request */

/* Asks for this Node's certificate, with a proof by this access key ("": none). */
static int request(const char *kubeconfig, const char *csr, const char *node, const char *key)
{
        char path[300];
        Error err = {};
        _cleanup_free_ char *cn = string_format("system:node:%s", node);
        const Wanted wanted = { .common_name = cn,
                                .organization = "system:nodes",
                                .key = node_key };
        json_auto_t *body = csr_object(csr, "2026-01-01T00:00:00Z", &wanted);
        if (*key) {
                csr_prove(body, key, 0);
        }
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

/* A join token lets a node ask, and read the answer to what it has asked. */
static void test_token_rights(void)
{
        char nodes[256];
        JoinToken token = token_of(object);
        (void) snprintf(nodes, sizeof(nodes), "%s/nodes.kubeconfig", test_folder());
        write_token_kubeconfig(nodes, &token);
        CHECK_INT(kubectl(nodes, "auth can-i create csr"), 0);
        CHECK_INT(kubectl(nodes, "auth can-i get csr/node-csr-0f"), 0);
        CHECK(kubectl(nodes, "auth can-i list csr") != 0);
        CHECK(kubectl(nodes, "auth can-i watch csr") != 0);
        CHECK(kubectl(nodes, "auth can-i delete csr") != 0);
        CHECK(kubectl(nodes, "auth can-i update csr --subresource=approval") != 0);
        CHECK(kubectl(nodes, "auth can-i get secrets") != 0);
}

static void test_requests(void)
{
        char nodes[256];
        (void) snprintf(nodes, sizeof(nodes), "%s/nodes.kubeconfig", test_folder());
        make_node(OWN, 0);
        make_node(NODE_B, 0);
        make_node(GONE, 100);
        CHECK_INT(request(nodes, "node-csr-a_1", NODE_A, "ASIAA"), 0);
        CHECK_INT(request(nodes, "csr-theft", NODE_B, "ASIAA"), 0);
        CHECK_INT(request(nodes, "csr-stopped", STOPPED, "ASIAS"), 0);
        CHECK_INT(request(nodes, "csr-stranger", "ip-1.ec2.internal", "ASIAA"), 0);
        CHECK_INT(request(nodes, "csr-admin", "*", "ASIAA"), 0);
        CHECK_INT(request(nodes, "csr-bare", NODE_A, ""), 0);
        CHECK_INT(attempts(nodes_probe, nodes_apply), 1);
        CHECK_STR(outcome("node-csr-a_1"), "Approved");
        CHECK_STR(outcome("csr-theft"), "Denied");
        CHECK_STR(outcome("csr-stopped"), "Denied");
        CHECK_STR(outcome("csr-stranger"), ""); /* EC2 may show it yet */
        CHECK_STR(outcome("csr-admin"), "Denied");
        CHECK_INT(get(NULL, CSR_PATH, "csr-bare"), 0);  /* deleted */
        CHECK_INT(get(NULL, "/api/v1/nodes/" GONE), 0); /* deleted */
        CHECK_INT(get(NULL, "/api/v1/nodes/" NODE_B), 1);
        CHECK_STR(label_of(OWN, "master"), "");
        CHECK_STR(label_of(OWN, "node"), "(none)");
        CHECK_STR(label_of(NODE_B, "node"), "");
        CHECK_INT(attempts(nodes_probe, nodes_apply), 0);
}

/* A join token never makes a master, though its Node is not live. */
static void test_usurper(void)
{
        char nodes[256];
        (void) snprintf(nodes, sizeof(nodes), "%s/nodes.kubeconfig", test_folder());
        make_node(OWN, 100);
        CHECK_INT(request(nodes, "csr-usurper", OWN, "ASIAM"), 0);
        CHECK_INT(attempts(nodes_probe, nodes_apply), 1);
        CHECK_STR(outcome("csr-usurper"), "Denied");
        make_node(OWN, 0);
}

/* A master issues its kubelet's certificate itself: the API server takes it as the Node's. */
static void test_own_certificate(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = NULL;
        json_auto_t *node = NULL, *secrets = NULL;
        CHECK_INT(attempts(kubelet_certificate_probe, kubelet_certificate_apply), 1);
        CHECK_INT(attempts(kubelet_certificate_probe, kubelet_certificate_apply), 0);
        CHECK_OK(kube_api_open_file("https://127.0.0.1:443", SECRETS_DIR "/ca.crt",
                                    KUBELET_CLIENT_PEM, &api, &err),
                 err);
        CHECK_INT(kube_api_get(api, "/api/v1/nodes/" OWN, &wait, &node, &err), 1);
        CHECK_INT(kube_api_get(api, "/api/v1/secrets", &wait, &secrets, &err), -EACCES);
        CHECK_CONTAINS(err.message, "system:node:" OWN);
        CHECK_INT(shell("openssl x509 -in " KUBELET_CLIENT_PEM
                        " -noout -checkend $((7 * 86400 - 600)) > %s/out && "
                        "! openssl x509 -in " KUBELET_CLIENT_PEM
                        " -noout -checkend $((7 * 86400 + 600)) > %s/out",
                        test_folder(), test_folder()),
                  0);
        CHECK_INT(shell("test -L " KUBELET_CLIENT_PEM
                        " && test \"$(stat -Lc %%a " KUBELET_CLIENT_PEM ")\" = 600"),
                  0);
}

/* A name of 63 characters makes a common name of 75, more than RFC 5280 has. */
static void test_long_name(void)
{
        char known[sizeof(boot.node_name)];
        memcpy(known, boot.node_name, sizeof(known));
        memset(boot.node_name, 'a', NODE_NAME_MAX);
        boot.node_name[NODE_NAME_MAX] = '\0';
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = NULL;
        json_auto_t *node = NULL;
        CHECK_INT(attempts(kubelet_certificate_probe, kubelet_certificate_apply), 1);
        CHECK_INT(attempts(kubelet_certificate_probe, kubelet_certificate_apply), 0);
        make_node(boot.node_name, 0);
        CHECK_OK(kube_api_open_file("https://127.0.0.1:443", SECRETS_DIR "/ca.crt",
                                    KUBELET_CLIENT_PEM, &api, &err),
                 err);
        _cleanup_free_ char *path = string_format("/api/v1/nodes/%s", boot.node_name);
        CHECK_INT(kube_api_get(api, path, &wait, &node, &err), 1);
        CHECK_INT(kubectl(MINE, "delete node %s", boot.node_name), 0);
        memcpy(boot.node_name, known, sizeof(known));
}

static Boot node_boot; /* of a node, which asks while `boot` lets it in */

static int ask_probe(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        return kubelet_certificate_probe(&node_boot, context, err);
}

static int ask_apply(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        return kubelet_certificate_apply(&node_boot, context, err);
}

static int let_in_probe(void *userdata, StepContext *context, Error *err)
{
        _cleanup_kube_api_ KubeApi *api = NULL;
        _cleanup_nodes_scene_ NodesScene scene = {};
        int r = api_open(userdata, &api, err);
        if (r >= 0) {
                r = nodes_look(userdata, context, api, &scene, err);
        }
        if (r >= 0) {
                r = nodes_work(userdata, context, api, &scene, err);
        }
        return r < 0 ? r : ask_probe(NULL, context, err);
}

static int wait_a_moment(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        return wait_sleep(step_wait(context), 200, err);
}

static int ask_and_let_in(StepRetry retry, Error *err)
{
        const Step rows[] = {
                { .name = "ask",
                  .makes_true = "a node has its certificate",
                  .runs_on = KIND_MASTER,
                  .probe = ask_probe,
                  .apply = ask_apply,
                  .retry = retry,
                  .deadline_s = deadline_s },
                { .name = "let-in",
                  .makes_true = "the master has let it in",
                  .runs_on = KIND_MASTER,
                  .probe = let_in_probe,
                  .apply = wait_a_moment,
                  .retry = { 50, 200 },
                  .deadline_s = deadline_s },
        };
        MachineStatus status;
        return run_rows(rows, ELEMENTS(rows), MACHINE_CONVERGE, &status, err);
}

/* A node asks with the token of the bucket, and leaves no token behind. */
static void test_asks(void)
{
        Error err = {};
        node_boot = boot;
        node_boot.config.role = ROLE_NODE;
        (void) inet_pton(AF_INET, "127.0.0.1", &node_boot.config.master_private_ip);
        (void) snprintf(node_boot.node_name, sizeof(node_boot.node_name), NODE_A);
        CHECK_OK(credentials_new_static("ASIAA", "secret", "token", &node_boot.credentials, &err),
                 err);
        CHECK_OK(aws_client_new(node_boot.credentials, "us-east-1", NULL, &node_boot.aws, &err),
                 err);
        CHECK_OK(ask_and_let_in((StepRetry) { 50, 200 }, &err), err);
        StepStatus status;
        CHECK_OK(run_step(ask_probe, NULL, MACHINE_PLAN, &status, &err), err);
        CHECK_INT(status.state, STEP_DONE);
        JoinToken token = token_of(object);
        CHECK(shell("grep -rqF %s " SECRETS_DIR, token.secret) != 0);
        CHECK_INT(shell("test $(ls " KUBELET_CERTS "/kubelet-client-2*.pem | wc -l) = 1"), 0);
}

/* Another kind of token, or none that lives, leads to no request. */
static void test_asks_in_vain(void)
{
        Error err = {};
        StepStatus status;
        char *kept_object = object;
        CHECK_OK(file_remove(KUBELET_CLIENT_PEM, &err), err);
        deadline_s = 3;
        object = strdup("{\"schema\":1,\"token\":\"abcdef.0123456789abcdef\","
                        "\"expires\":\"2020-01-01T00:00:00Z\"}");
        CHECK(run_step(ask_probe, ask_apply, MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_CONTAINS(err.message, "a join token that is not expired");
        free(object);
        object = strdup("{\"schema\":1,\"token\":\"abcdef.0123456789abcdef\","
                        "\"expires\":\"2099-01-01T00:00:00Z\"}");
        CHECK(run_step(ask_probe, ask_apply, MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, "status 401");
        free(object);
        object = kept_object;
        deadline_s = 60;
}

/* A denial names its reason. */
static void test_denied(void)
{
        Error err = {};
        (void) snprintf(node_boot.node_name, sizeof(node_boot.node_name), STOPPED);
        deadline_s = 8;
        CHECK(ask_and_let_in((StepRetry) {}, &err) < 0);
        CHECK_CONTAINS(err.message, "denied by the master: instance i-s is stopped");
        deadline_s = 60;
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
        take_certificate("node-csr-a_1", KUBELET_CLIENT_PEM);
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
        CHECK_INT(request(config, "csr-renewal", NODE_A, ""), 0);
        CHECK_INT(request(config, "csr-other", NODE_B, ""), 0);
        CHECK_INT(attempts(nodes_probe, nodes_apply), 1);
        CHECK_STR(outcome("csr-renewal"), "Approved");
        CHECK_STR(outcome("csr-other"), "Denied");
        CHECK_OK(file_remove(KUBELET_CLIENT_PEM, &err), err);
}

/* What kubelet's file may hold: only a certificate of this cluster's, of this Node and of now
 * counts. */
static void test_foreign_certificates(void)
{
        Error err = {};
        static const struct {
                const char *name;
                bool is_foreign;
                int from_s;
                unsigned days;
                const char *why;
        } cases[] = {
                { "system:node:" OWN, true, 0, 1, "another authority" },
                { "system:node:" NODE_A, false, 0, 1, "expected system:node:" OWN },
                { "system:node:" OWN, false, -86400, 1, "has expired" },
                { "system:node:" OWN, false, 86400, 1, "not valid yet" },
                { "system:node:" OWN, false, 0, 1, NULL },
        };
        _cleanup_x509_ X509 *authority = NULL;
        _cleanup_key_ EVP_PKEY *authority_key = NULL;
        _cleanup_secret_ Secret ca = SECRET_INIT, ca_key = SECRET_INIT;
        CHECK_OK(file_read(SECRETS_DIR "/ca.crt", 65536, &ca, &err), err);
        CHECK_OK(file_read(SECRETS_DIR "/ca.key", 65536, &ca_key, &err), err);
        CHECK_OK(certificate_from_pem(ca.data, ca.size, &authority, &err), err);
        CHECK_OK(certificate_key_from_pem(ca_key.data, ca_key.size, &authority_key, &err), err);
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                StepStatus status;
                _cleanup_x509_ X509 *x = NULL;
                _cleanup_secret_ Secret pem = SECRET_INIT;
                const CertificateRequest wanted = { .common_name = c->name,
                                                    .organization = "system:nodes",
                                                    .usage = CERTIFICATE_CLIENT,
                                                    .now = time(NULL) + c->from_s,
                                                    .days = c->days };
                CHECK_OK(certificate_issue(&wanted, node_key, c->is_foreign ? NULL : authority,
                                           c->is_foreign ? NULL : authority_key, &x, &err),
                         err);
                CHECK_OK(certificate_to_pem(x, &pem, &err), err);
                CHECK_OK(file_write(KUBELET_CLIENT_PEM, pem.data, pem.size, 0600, &err), err);
                CHECK_OK(run_step(kubelet_certificate_probe, kubelet_certificate_apply,
                                  MACHINE_PLAN, &status, &err),
                         err);
                CHECK_INT(status.state, c->why ? STEP_WOULD_APPLY : STEP_DONE);
                CHECK_CONTAINS(status.reason, strempty(c->why));
        }
        StepStatus status;
        CHECK_OK(file_write(KUBELET_CLIENT_PEM, "half", 4, 0600, &err), err);
        CHECK_OK(run_step(kubelet_certificate_probe, kubelet_certificate_apply, MACHINE_PLAN,
                          &status, &err),
                 err);
        CHECK_CONTAINS(status.reason, "no certificate");
        CHECK_OK(file_remove(KUBELET_CLIENT_PEM, &err), err);
}

static const TestCase cases[] = {
        { "the API server is ready", test_starts },
        { "the cluster's parts have their roles", test_roles },
        { "a Node is ready while its kubelet is heard of", test_node },
        { "tokens are made, known and left for nodes", test_tokens },
        { "tokens are renewed, and go", test_tokens_renewed },
        { "a join token's rights", test_token_rights },
        { "who is let in", test_requests },
        { "who is let in as master", test_usurper },
        { "a master's own certificate", test_own_certificate },
        { "a Node's longest name", test_long_name },
        { "a node asks for its certificate", test_asks },
        { "a node asks in vain", test_asks_in_vain },
        { "a node is denied", test_denied },
        { "what a certificate opens", test_certificate },
        { "certificates that are not this kubelet's", test_foreign_certificates },
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
                                      .node_iam_role = node_role,
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
        aws_client_free(node_boot.aws);
        credentials_free(node_boot.credentials);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        free(object);
        http_done();
        return test_done();
}
