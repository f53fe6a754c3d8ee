/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/kubelet/manifests.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/machine.h"
#include "harness.h"

/* Fields own their strings, so they are not const. */
static char none[] = "none", external[] = "external", no_image[] = "", an_image[] = "coredns:1";
#define TEXT(s) ((char[]) { s })

static Boot boot = {
        .config = { .role = ROLE_MASTER,
                    .cluster_name = TEXT("c1"),
                    .cluster_domain = TEXT("cluster.local"),
                    .service_network = { 0x0a000000, 16 },
                    .overlay_network = { 0x0af40000, 16 },
                    .cloud_provider = none },
        .images = { .etcd = TEXT("etcd:1"),
                    .flannel = TEXT("flannel:1"),
                    .pause = TEXT("pause:1"),
                    .apiserver = TEXT("api:1"),
                    .controller_manager = TEXT("manager:1"),
                    .scheduler = TEXT("scheduler:1"),
                    .proxy = TEXT("proxy:1"),
                    .coredns = no_image },
        .identity = { .local_ip = "172.20.128.20" },
        .node_name = "ip-1.ec2.internal",
        .generation = "g1",
};

static const char *path_of(const char *name)
{
        static char paths[2][256];
        static unsigned next;
        char *path = paths[next++ % 2];
        (void) snprintf(path, sizeof(paths[0]), "%s/%s", test_folder(), name);
        return path;
}

static void put(const char *name, const char *text)
{
        Error err = {};
        CHECK_OK(file_write(path_of(name), text, strlen(text), 0644, &err), err);
}

/* A new empty folder below the test's own. */
static const char *folder(const char *name)
{
        Error err = {};
        CHECK_OK(file_make_directory(path_of(name), 0755, &err), err);
        return path_of(name);
}

static int render(const char *name, Manifests *ret, Error *err)
{
        return manifests_render(&boot, NULL, path_of(name), MANIFESTS_LACK_NOTHING, ret, err);
}

static void templates_are_filled(void)
{
        _cleanup_manifests_ Manifests manifests = {};
        Error err = {};
        (void) folder("filled");
        put("filled/b.yaml", "${CLUSTER_NAME} ${CLUSTER_DOMAIN} ${CLUSTER_DNS} ${SERVICE_NETWORK} "
                             "${OVERLAY_NETWORK} ${MASTER_PRIVATE_IP} [${CLOUD_PROVIDER_FLAG}] "
                             "${NODE_NAME} ${NODE_IP} ${GENERATION} ${PROXY_IMAGE}");
        put("filled/a.yaml", "");
        put("filled/.hidden.yaml", "${NOTHING}");
        put("filled/README", "${NOTHING}");
        CHECK_OK(render("filled", &manifests, &err), err);
        CHECK_INT(manifests.n, 2);
        CHECK_STR(manifests.items[0].name, "a.yaml");
        CHECK_STR(manifests.items[1].text.data,
                  "c1 cluster.local 10.0.0.10 10.0.0.0/16 10.244.0.0/16 172.20.128.9 [] "
                  "ip-1.ec2.internal 172.20.128.20 g1 proxy:1");
}

static void a_cloud_provider_is_an_argument(void)
{
        _cleanup_manifests_ Manifests manifests = {};
        Error err = {};
        (void) folder("cloud");
        put("cloud/a.yaml", "    ${CLOUD_PROVIDER_FLAG}\n");
        boot.config.cloud_provider = external;
        CHECK_OK(render("cloud", &manifests, &err), err);
        boot.config.cloud_provider = none;
        CHECK_STR(manifests.items[0].text.data, "    - --cloud-provider=external\n");
}

static void what_is_wrong_is_named(void)
{
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "a\n${NOTHING}\n", "wrong/a.yaml: line 2: there is no ${NOTHING}" },
                { "${COREDNS_IMAGE}", "wrong/a.yaml: line 1: ${COREDNS_IMAGE} has no value" },
        };
        (void) folder("wrong");
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_manifests_ Manifests manifests = {};
                Error err = {};
                put("wrong/a.yaml", c->text);
                CHECK(render("wrong", &manifests, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_CONTAINS(err.message, c->message);
        }
        _cleanup_manifests_ Manifests manifests = {};
        Error err = {};
        CHECK(render("not-there", &manifests, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "not-there: No such file or directory");
}

static void a_name_stands_for_one_manifest(void)
{
        _cleanup_manifests_ Manifests manifests = {};
        Error err = {};
        (void) folder("one");
        (void) folder("two");
        put("one/a.yaml", "1");
        put("two/a.yaml", "2");
        CHECK_OK(render("one", &manifests, &err), err);
        CHECK_INT(render("two", &manifests, &err), -EEXIST);
        CHECK_CONTAINS(err.message, "two/a.yaml: another folder");
}

/* Warnings are the engine's, so the engine runs this. */
static Manifests left_out;

static int left_out_probe(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        int r = manifests_render(&boot, context, path_of("lack"), MANIFESTS_LACK_IMAGES, &left_out,
                                 err);
        return r < 0 ? r : 1;
}

static unsigned any_role(void *userdata)
{
        (void) userdata;
        return KIND_DOCKER_MASTER;
}

static void an_addon_without_its_image_is_left_out(void)
{
        static const Step step = {
                .name = "addons", .makes_true = "x", .runs_on = KIND_ALL, .probe = left_out_probe
        };
        static MachineStatus status;
        MachineOptions options = {
                .steps = &step, .n_steps = 1, .kind = any_role, .all_kinds = KIND_ALL, .stop_fd = -1
        };
        Error err = {};
        (void) folder("lack");
        put("lack/dns.yaml", "image: ${COREDNS_IMAGE}\n");
        put("lack/rbac.yaml", "kind: ClusterRole\n");
        CHECK_OK(machine_run(&options, &status, &err), err);
        CHECK_INT(left_out.n, 1);
        CHECK_STR(left_out.n ? left_out.items[0].name : NULL, "rbac.yaml");
        CHECK_CONTAINS(status.steps[0].warning, "dns.yaml is left out: line 1: ${COREDNS_IMAGE}");
        manifests_done(&left_out);
}

static void the_folder_holds_these_and_no_others(void)
{
        _cleanup_manifests_ Manifests manifests = {};
        char how[FILE_DIFFERENCE_MAX];
        Error err = {};
        struct stat before = {}, after = {};
        (void) folder("from");
        put("from/a.yaml", "a");
        put("from/b.yaml", "b");
        CHECK_OK(render("from", &manifests, &err), err);
        CHECK_INT(manifests_are_installed(&manifests, path_of("to"), how, &err), 0);
        CHECK_OK(manifests_install(&manifests, path_of("to"), &err), err);
        CHECK_INT(manifests_are_installed(&manifests, path_of("to"), how, &err), 1);
        CHECK_INT(stat(path_of("to/a.yaml"), &before), 0);

        put("to/old.yaml", "old");
        CHECK_INT(manifests_are_installed(&manifests, path_of("to"), how, &err), 0);
        put("to/b.yaml", "changed");
        (void) folder("to/folder");
        put("to/.hidden", "");
        CHECK_OK(manifests_install(&manifests, path_of("to"), &err), err);
        CHECK_INT(manifests_are_installed(&manifests, path_of("to"), how, &err), 1);
        CHECK_INT(access(path_of("to/old.yaml"), F_OK), -1);
        CHECK_INT(access(path_of("to/.hidden"), F_OK), 0);
        CHECK_INT(stat(path_of("to/a.yaml"), &after), 0);
        CHECK_INT(after.st_ino, before.st_ino); /* the same one: kubelet does not start it anew */
}

/* Returns the filled-in text of the manifest of this name. */
static const char *text_of(const Manifests *manifests, const char *name)
{
        FOREACH_ARRAY(m, manifests->items, manifests->n) {
                if (streq(m->name, name)) {
                        return m->text.data;
                }
        }
        test_fail(__FILE__, __LINE__, "no %s", name);
        return "";
}

/* The templates of the AMI, as each runtime fills them. */
static void fill_our_own(ContainerRuntime runtime, Manifests *ret)
{
        static const char *const folders[] = { "conf/kubernetes/static-pods/all",
                                               "conf/kubernetes/static-pods/master",
                                               "conf/kubernetes/addons",
                                               "conf/kubernetes/addons/docker" };
        Error err = {};
        boot.images.coredns = an_image;
        boot.images.runtime = runtime;
        FOREACH_ARRAY(path, folders, runtime == RUNTIME_DOCKER ? 4 : 3) {
                size_t before = ret->n;
                CHECK_OK(manifests_render(&boot, NULL, *path, MANIFESTS_LACK_NOTHING, ret, &err),
                         err);
                CHECK(ret->n > before);
        }
        boot.images.coredns = no_image;
        boot.images.runtime = RUNTIME_DOCKER;
}

/* A flag that the other runtime's Kubernetes does not know ends the program; it is a comment there.
 * The flags that went: https://github.com/kubernetes/kubernetes/pull/95856 and 114017. */
static void our_own_can_be_filled(void)
{
        static const struct {
                const char *manifest, *docker, *containerd;
        } lines[] = {
                { "kube-apiserver.yaml", "\n    - --insecure-port=0\n",
                  "\n    - --authentication-config=/etc/kubernetes/authentication.yaml\n" },
                { "kube-apiserver.yaml", "\n    - --anonymous-auth=false\n",
                  "\n        path: /livez\n" },
                { "kube-apiserver.yaml",
                  "\n    - --enable-admission-plugins=NodeRestriction,PodSecurityPolicy\n",
                  "\n    - --admission-control-config-file=/etc/kubernetes/admission.yaml\n" },
                { "kube-controller-manager.yaml", "\n    - --port=0\n",
                  "\n    - --cluster-cidr=10.244.0.0/16\n" },
                { "kube-controller-manager.yaml", "\n    - --allocate-node-cidrs=false\n",
                  "\n    - --allocate-node-cidrs=true\n" },
                { "kube-scheduler.yaml", "\n    - --port=0\n", "" },
                { "kube-proxy.yaml", "\n    - --kubeconfig=/srv/kubernetes/kube-proxy.kubeconfig\n",
                  "\n    - --kubeconfig=/srv/kubernetes/kubelet/kubeconfig\n" },
                { "kube-proxy.yaml", "\n        path: /healthz\n", "\n        path: /livez\n" },
        };
        _cleanup_manifests_ Manifests docker = {}, containerd = {};
        fill_our_own(RUNTIME_DOCKER, &docker);
        fill_our_own(RUNTIME_CONTAINERD, &containerd);
        FOREACH_ARRAY(line, lines, ELEMENTS(lines)) {
                CHECK_CONTAINS(text_of(&docker, line->manifest), line->docker);
                CHECK_CONTAINS(text_of(&containerd, line->manifest), line->containerd);
                CHECK(!strstr(text_of(&containerd, line->manifest), line->docker));
                CHECK(!*line->containerd ||
                      !strstr(text_of(&docker, line->manifest), line->containerd));
        }
}

int main(void)
{
        boot.config.master_private_ip.s_addr = inet_addr("172.20.128.9");
        test_case("manifests: templates are filled, in the order of their names",
                  templates_are_filled);
        test_case("manifests: a cloud provider is an argument more",
                  a_cloud_provider_is_an_argument);
        test_case("manifests: what is wrong is named", what_is_wrong_is_named);
        test_case("manifests: a name stands for one manifest", a_name_stands_for_one_manifest);
        test_case("manifests: an addon without its image is left out",
                  an_addon_without_its_image_is_left_out);
        test_case("manifests: the folder holds these, and no others",
                  the_folder_holds_these_and_no_others);
        test_case("manifests: conf/kubernetes can be filled", our_own_can_be_filled);
        return test_done();
}
