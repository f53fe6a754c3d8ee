/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/render.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>

#include "harness.h"

static const KubeletParameters parameters = {
        .node_name = "ip-172-20-128-9.ec2.internal",
        .node_ip = "172.20.128.9",
        .cgroup_driver = "systemd",
        .cluster_dns = "10.0.0.10",
        .cluster_domain = "cluster.local",
        .cloud_provider = "none",
        .pause_image = "pause:3.2",
        .config_path = "/run/kube-bootstrap/kubelet.json",
        .client_ca = "/srv/kubernetes/ca.crt",
        .cert_dir = "/srv/kubernetes/kubelet",
        .kubeconfig = "/srv/kubernetes/kubelet/kubeconfig",
};

static void flannel_config(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        CHECK_OK(render_flannel_config((Network) { 0x0af40000, 16 }, "vxlan", &text, &err), err);
        CHECK_STR(text.data, "{\"Network\":\"10.244.0.0/"
                             "16\",\"SubnetLen\":24,\"Backend\":{\"Type\":\"vxlan\"}}");
}

/* https://www.cni.dev/plugins/current/main/bridge/; two machines were tried with this file */
static void cni_configuration(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        CHECK_OK(render_cni("cbr0", "10.244.5.0/24", 1450, &text, &err), err);
        json_auto_t *json = json_loads(text.data, JSON_REJECT_DUPLICATES, NULL);
        json_auto_t *expected = json_loads(
                "{\"cniVersion\":\"1.0.0\",\"name\":\"overlay\",\"plugins\":[{\"type\":\"bridge\","
                "\"bridge\":\"cbr0\",\"isDefaultGateway\":true,\"hairpinMode\":true,\"ipMasq\":"
                "false,"
                "\"mtu\":1450,\"ipam\":{\"type\":\"host-local\",\"ranges\":[[{\"subnet\":"
                "\"10.244.5.0/"
                "24\"}]]}},{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true},"
                "\"snat\":true}]}",
                0, NULL);
        REQUIRE(json && expected);
        CHECK(json_equal(json, expected));
}

static void docker_environment(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        CHECK_OK(render_docker_environment("cbr0", "10.244.5.1/24", 1450, "cgroupfs", &text, &err),
                 err);
        CHECK_CONTAINS(text.data,
                       "--bridge=cbr0 --mtu=1450 --ip-masq=false "
                       "--userland-proxy=false --exec-opt=native.cgroupdriver=cgroupfs\n");
}

static void kubelet_versions(void)
{
        static const struct {
                const char *text;
                bool with_docker, with_containerd;
        } cases[] = {
                { "Kubernetes v1.20.2\n", true, false },
                { "Kubernetes v1.19.0", true, false },
                { "Kubernetes v1.18.20", false, false },
                { "Kubernetes v1.23.17\n", true, false },
                { "Kubernetes v1.24.0\n", false, false },
                { "Kubernetes v1.35.9\n", false, false },
                { "Kubernetes v1.36.0\n", false, true },
                { "Kubernetes v1.37.2", false, true },
                { "Kubernetes v1.100.2", false, true },
                { "Kubernetes v2.20.2\n", false, false },
                { "", false, false },
                { "Kubernetes v1.20\n", false, false },
                { "docker 1.20.2", false, false },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error docker = {}, containerd = {};
                int r = render_check_kubelet_version(RUNTIME_DOCKER, c->text, &docker);
                CHECK_INT(r >= 0, c->with_docker);
                CHECK(r >= 0 || docker.class == ERROR_CONFIG);
                r = render_check_kubelet_version(RUNTIME_CONTAINERD, c->text, &containerd);
                CHECK_INT(r >= 0, c->with_containerd);
                CHECK(r >= 0 || containerd.class == ERROR_CONFIG);
        }
}

static void kubelet_config_is_put_over_the_base(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        const char *base = "{\"kind\":\"KubeletConfiguration\",\"failSwapOn\":false,"
                           "\"readOnlyPort\":10255,\"cgroupDriver\":\"cgroupfs\"}";
        CHECK_OK(render_kubelet_config(base, &parameters, &text, &err), err);
        json_auto_t *json = json_loads(text.data, 0, NULL);
        REQUIRE(json);
        CHECK(json_is_false(json_object_get(json, "failSwapOn")));
        CHECK_INT(json_integer_value(json_object_get(json, "readOnlyPort")), 0);
        CHECK_STR(json_string_value(json_object_get(json, "cgroupDriver")), "systemd");
        CHECK_STR(json_string_value(json_array_get(json_object_get(json, "clusterDNS"), 0)),
                  "10.0.0.10");
        CHECK_STR(json_string_value(json_object_get(json, "apiVersion")),
                  "kubelet.config.k8s.io/v1beta1");
}

/* Nobody calls kubelet unnamed, or does there what the API server does not allow. */
static void kubelet_config_shuts_strangers_out(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        const char *base = "{\"authentication\":{\"anonymous\":{\"enabled\":true}},"
                           "\"authorization\":{\"mode\":\"AlwaysAllow\"}}";
        CHECK_OK(render_kubelet_config(base, &parameters, &text, &err), err);
        json_auto_t *json = json_loads(text.data, 0, NULL);
        REQUIRE(json);
        json_t *authentication = json_object_get(json, "authentication");
        json_t *anonymous = json_object_get(authentication, "anonymous");
        json_t *webhook = json_object_get(authentication, "webhook");
        json_t *x509 = json_object_get(authentication, "x509");
        json_t *authorization = json_object_get(json, "authorization");
        CHECK(json_is_false(json_object_get(anonymous, "enabled")));
        CHECK(json_is_true(json_object_get(webhook, "enabled")));
        CHECK_STR(json_string_value(json_object_get(x509, "clientCAFile")),
                  "/srv/kubernetes/ca.crt");
        CHECK_STR(json_string_value(json_object_get(authorization, "mode")), "Webhook");
        CHECK(json_is_true(json_object_get(json, "rotateCertificates")));
        CHECK(json_is_true(json_object_get(json, "enableServer")));
}

/* https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/: resolvConf "is the
 * resolver configuration file used as the basis for the container DNS resolution". */
static void kubelet_config_names_the_resolver(void)
{
        static const char *const servers = "/run/systemd/resolve/resolv.conf";
        static const struct {
                const char *base, *known, *expected;
        } cases[] = {
                { NULL, servers, servers },
                { NULL, NULL, NULL },
                { "{\"resolvConf\":\"/etc/own.conf\"}", servers, "/etc/own.conf" },
                { "{\"resolvConf\":\"\"}", servers, "" }, /* to kubelet: no name servers */
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer text = {};
                Error err = {};
                KubeletParameters p = parameters;
                p.resolv_conf = c->known;
                CHECK_OK(render_kubelet_config(c->base, &p, &text, &err), err);
                json_auto_t *json = json_loads(text.data, 0, NULL);
                const char *found = json_string_value(json_object_get(json, "resolvConf"));
                CHECK(!found == !c->expected);
                if (found && c->expected) {
                        CHECK_STR(found, c->expected);
                }
        }
}

/* https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/ */
static void check_containerd_settings(const json_t *json, bool has_cgroup_v1)
{
        const json_t *fails = json_object_get(json, "failCgroupV1");
        CHECK_STR(json_string_value(json_object_get(json, "containerRuntimeEndpoint")),
                  "unix:///run/containerd/containerd.sock");
        CHECK(json_is_boolean(fails) && json_is_true(fails) == !has_cgroup_v1);
        CHECK(json_is_true(json_object_get(json, "seccompDefault")));
        CHECK_STR(json_string_value(json_object_get(json, "shutdownGracePeriod")), "30s");
        CHECK_STR(json_string_value(json_object_get(json, "cgroupDriver")), "systemd");
}

/* "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod", says kubelet. */
static void kubelet_config_leaves_the_administrator_a_choice(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        KubeletParameters p = parameters;
        p.runtime = RUNTIME_CONTAINERD;
        const char *base = "{\"podPidsLimit\":100,\"shutdownGracePeriodByPodPriority\":[],"
                           "\"containerRuntimeEndpoint\":\"unix:///run/other.sock\"}";
        CHECK_OK(render_kubelet_config(base, &p, &text, &err), err);
        json_auto_t *json = json_loads(text.data, 0, NULL);
        CHECK_INT(json_integer_value(json_object_get(json, "podPidsLimit")), 100);
        CHECK(!json_object_get(json, "shutdownGracePeriod"));
        CHECK(!json_object_get(json, "shutdownGracePeriodCriticalPods"));
        CHECK_STR(json_string_value(json_object_get(json, "containerRuntimeEndpoint")),
                  "unix:///run/containerd/containerd.sock");
}

static void kubelet_config_names_containerd(void)
{
        for (int i = 0; i < 4; i++) {
                _cleanup_buffer_ Buffer text = {};
                Error err = {};
                KubeletParameters p = parameters;
                p.runtime = i & 1 ? RUNTIME_CONTAINERD : RUNTIME_DOCKER;
                p.has_cgroup_v1 = i & 2;
                CHECK_OK(render_kubelet_config(NULL, &p, &text, &err), err);
                json_auto_t *json = json_loads(text.data, 0, NULL);
                if (p.runtime == RUNTIME_CONTAINERD) {
                        check_containerd_settings(json, p.has_cgroup_v1);
                } else { /* kubelet 1.20 refuses what it does not know */
                        CHECK(!json_object_get(json, "failCgroupV1"));
                        CHECK(!json_object_get(json, "containerRuntimeEndpoint"));
                }
        }
}

static void kubelet_config_refuses_a_bad_base(void)
{
        static const char *const bases[] = { "{", "[]", "{\"kind\":\"Pod\"}", "{\"a\":1,\"a\":2}" };
        FOREACH_ARRAY(base, bases, ELEMENTS(bases)) {
                _cleanup_buffer_ Buffer text = {};
                Error err = {};
                CHECK(render_kubelet_config(*base, &parameters, &text, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
        }
}

static void kubelet_environment(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        KubeletParameters p = parameters;
        CHECK_OK(render_kubelet_environment(&p, &text, &err), err);
        CHECK_CONTAINS(text.data, "--hostname-override=ip-172-20-128-9.ec2.internal ");
        CHECK_CONTAINS(text.data, " --kubeconfig=/srv/kubernetes/kubelet/kubeconfig ");
        CHECK(!strstr(text.data, "--cloud-provider"));
        CHECK_CONTAINS(text.data,
                       " --container-runtime=docker --pod-infra-container-image=pause:3.2\n");
        p.runtime = RUNTIME_CONTAINERD;
        buffer_done(&text);
        CHECK_OK(render_kubelet_environment(&p, &text, &err), err);
        CHECK(!strstr(text.data, "--container-runtime") && !strstr(text.data, "pause"));
        p.cloud_provider = "external";
        CHECK_OK(render_kubelet_environment(&p, &text, &err), err);
        CHECK_CONTAINS(text.data, " --cloud-provider=external\n");
}

/* kubelet needs both flags or neither; 1.19 does not know them.
 * https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/ */
static void kubelet_environment_names_credential_providers(void)
{
        static const struct {
                ContainerRuntime runtime;
                const char *folder, *config;
                bool expected;
        } cases[] = {
                { RUNTIME_CONTAINERD, "/bin/providers", "/etc/providers.json", true },
                { RUNTIME_CONTAINERD, NULL, NULL, false },
                { RUNTIME_DOCKER, "/bin/providers", "/etc/providers.json", false },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer text = {};
                Error err = {};
                KubeletParameters p = parameters;
                p.runtime = c->runtime;
                p.provider_folder = c->folder;
                p.provider_config = c->config;
                CHECK_OK(render_kubelet_environment(&p, &text, &err), err);
                CHECK(!!strstr(text.data, " --image-credential-provider-bin-dir=/bin/providers "
                                          "--image-credential-provider-config=/etc/providers.json"
                                          "\n") == c->expected);
                CHECK(!!strstr(text.data, "credential-provider") == c->expected);
        }
}

static void cluster_dns(void)
{
        char dns[INET_ADDRSTRLEN];
        render_cluster_dns((Network) { 0x0a000000, 16 }, dns);
        CHECK_STR(dns, "10.0.0.10");
}

static const RenderVariable variables[] = {
        { "A", "a" }, { "A_2", "two" }, { "EMPTY", "" }, { "NONE", NULL }, { "LINES", "a\nb" },
};

static void template_is_filled(void)
{
        static const struct {
                const char *text, *result;
        } cases[] = {
                { "", "" },
                { "plain\n", "plain\n" },
                { "${A}", "a" },
                { "x${A}${A_2}y${EMPTY}z", "xatwoyz" },
                { "$", "$" },
                { "$$", "$$" },
                { "$A $(A) $1 a$", "$A $(A) $1 a$" },
                { "$${A}", "${A}" },
                { "$$${A}", "$${A}" }, /* a "$", and "$${" */
                { "$${", "${" },
                { "$${A}${A}", "${A}a" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer text = {};
                Error err = {};
                CHECK_OK(render_template(c->text, strlen(c->text), variables, ELEMENTS(variables),
                                         &text, &err),
                         err);
                CHECK_STR(text.data, c->result);
        }
}

static void template_names_what_is_wrong(void)
{
        static const struct {
                const char *text;
                int error;
                const char *message;
        } cases[] = {
                { "a\n\n${B}", EINVAL, "line 3: there is no ${B}" },
                { "${}", EINVAL, "there is no ${}" },
                { "${a}", EINVAL, "there is no ${a}" },
                { "${A", EINVAL, "line 1: a \"${\" without its \"}\"" },
                { "${A\n}", EINVAL, "without its" },
                { "${", EINVAL, "without its" },
                { "a\n${NONE}", ENODATA, "line 2: ${NONE} has no value here" },
                { "${LINES}", EINVAL, "more than one line" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer text = {};
                Error err = {};
                CHECK_INT(render_template(c->text, strlen(c->text), variables, ELEMENTS(variables),
                                          &text, &err),
                          -c->error);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_CONTAINS(err.message, c->message);
        }
}

int main(void)
{
        test_case("render: flannel's key", flannel_config);
        test_case("render: docker's environment", docker_environment);
        test_case("render: containerd's network for pods", cni_configuration);
        test_case("render: kubelet's version is of the range that runs with its runtime",
                  kubelet_versions);
        test_case("render: a current kubelet is told of containerd, an old one is not",
                  kubelet_config_names_containerd);
        test_case("render: what a machine must have goes over the administrator's base",
                  kubelet_config_is_put_over_the_base);
        test_case("render: kubelet asks the API server who calls, and what that may do",
                  kubelet_config_shuts_strangers_out);
        test_case("render: kubelet is told where the machine's name servers are",
                  kubelet_config_names_the_resolver);
        test_case("render: of a current kubelet, what need not be is the administrator's",
                  kubelet_config_leaves_the_administrator_a_choice);
        test_case("render: a base that is no KubeletConfiguration",
                  kubelet_config_refuses_a_bad_base);
        test_case("render: kubelet's flags", kubelet_environment);
        test_case("render: kubelet's credential providers",
                  kubelet_environment_names_credential_providers);
        test_case("render: the DNS service's address", cluster_dns);
        test_case("render: a template is filled", template_is_filled);
        test_case("render: what is wrong with a template", template_names_what_is_wrong);
        return test_done();
}
