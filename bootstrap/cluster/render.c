/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/render.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/network.h"

static int append_json(const json_t *json, Buffer *ret, Error *err)
{
        int r = json_write(json, JSON_SORT_KEYS | JSON_INDENT(2), ret, err);
        if (r < 0) {
                return r;
        }
        return buffer_append_string(ret, "\n") < 0 ? error_oom(err) : 0;
}

int render_flannel_config(Network overlay, const char *backend, Buffer *ret, Error *err)
{
        char network[NETWORK_TEXT_MAX];
        network_format(overlay, network);
        int r = buffer_append_format(
                ret, "{\"Network\":\"%s\",\"SubnetLen\":24,\"Backend\":{\"Type\":\"%s\"}}", network,
                backend);
        return r < 0 ? error_oom(err) : 0;
}

int render_docker_environment(const char *bridge, const char *subnet, unsigned mtu,
                              const char *cgroup_driver, Buffer *ret, Error *err)
{
        int r = buffer_append_format(ret,
                                     "# Made by kube-bootstrap at every boot, for %s on %s.\n"
                                     "DOCKER_OVERLAY_OPTIONS=--bridge=%s --mtu=%u --ip-masq=false "
                                     "--userland-proxy=false --exec-opt=native.cgroupdriver=%s\n",
                                     subnet, bridge, bridge, mtu, cgroup_driver);
        return r < 0 ? error_oom(err) : 0;
}

int render_cni(const char *bridge, const char *subnet, unsigned mtu, Buffer *ret, Error *err)
{
        json_auto_t *document =
                json_pack("{s:s, s:s, s:[{s:s, s:s, s:b, s:b, s:b, s:i, s:{s:s, s:[[{s:s}]]}},"
                          " {s:s, s:{s:b}, s:b}]}",
                          "cniVersion", "1.0.0", "name", "overlay", "plugins", /* bridge: */
                          "type", "bridge", "bridge", bridge, "isDefaultGateway", 1, "hairpinMode",
                          1, "ipMasq", 0, "mtu", (int) mtu, "ipam", "type", "host-local", "ranges",
                          "subnet", subnet, /* portmap: */
                          "type", "portmap", "capabilities", "portMappings", 1, "snat", 1);
        return document ? append_json(document, ret, err) : error_oom(err);
}

/* The range of kubelet's minor versions that works with each runtime. */
static const struct {
        unsigned first, last;
        const char *text;
} kubelet_minors[_RUNTIME_MAX] = {
        [RUNTIME_DOCKER] = { 19, 23, "with docker, 1.19 to 1.23 work" },
        [RUNTIME_CONTAINERD] = { 36, UINT_MAX, "with containerd, 1.36 and later work" },
};

int render_check_kubelet_version(ContainerRuntime runtime, const char *text, Error *err)
{
        unsigned major, minor;
        int used = 0;
        if (sscanf(text, "Kubernetes v%3u.%3u.%n", &major, &minor, &used) != 2 || used == 0) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "kubelet --version says \"%.64s\": expected \"Kubernetes v1.X.Y\"",
                                 text);
        }
        if (major != 1 || minor < kubelet_minors[runtime].first ||
            minor > kubelet_minors[runtime].last) {
                return error_set(err, ERROR_CONFIG, ENOTSUP, "kubelet is version %u.%u: %s", major,
                                 minor, kubelet_minors[runtime].text);
        }
        return 0;
}

/* Returns the settings that every kubelet accepts. A caller of kubelet shows a
 * certificate of the cluster's, or a token that the API server confirms, and may do what the API
 * server allows. kubelet's own serving certificate is self-signed, and the API server does not ask
 * for more. */
static json_t *kubelet_document(const KubeletParameters *p)
{
        return json_pack("{s:s, s:s, s:s, s:s, s:[s], s:s, s:s, s:i, s:i, s:b, s:b, s:b,"
                         " s:{s:{s:b}, s:{s:b}, s:{s:s}}, s:{s:s}}",
                         "apiVersion", "kubelet.config.k8s.io/v1beta1", "kind",
                         "KubeletConfiguration", "cgroupDriver", p->cgroup_driver, "clusterDomain",
                         p->cluster_domain, "clusterDNS", p->cluster_dns, "staticPodPath",
                         "/etc/kubernetes/manifests", "healthzBindAddress", "127.0.0.1",
                         "healthzPort", 10248, "readOnlyPort", 0, "enableServer", 1,
                         "rotateCertificates", 1, "serverTLSBootstrap", 0, "authentication",
                         "anonymous", "enabled", 0, "webhook", "enabled", 1, "x509", "clientCAFile",
                         p->client_ca, "authorization", "mode", "Webhook");
}

/* Adds the settings that a current kubelet must have: the socket of its runtime, and whether the
 * machine has cgroup v1, where kubelet from 1.35 on ends unless it is told. And those that the base
 * may set otherwise: time for pods to end at a shutdown, the runtime's own list of system calls for
 * pods that name none, a limit of processes for each pod. */
static int add_settings_of_containerd(const KubeletParameters *p, json_t *document, Error *err)
{
        json_auto_t *must = json_pack("{s:s, s:b}", "containerRuntimeEndpoint",
                                      "unix:///run/containerd/containerd.sock", "failCgroupV1",
                                      !p->has_cgroup_v1);
        json_auto_t *may = json_pack("{s:b, s:i}", "seccompDefault", 1, "podPidsLimit", 4096);
        /* kubelet refuses both kinds of grace together */
        json_auto_t *grace = json_object_get(document, "shutdownGracePeriodByPodPriority")
                                     ? json_object()
                                     : json_pack("{s:s, s:s}", "shutdownGracePeriod", "30s",
                                                 "shutdownGracePeriodCriticalPods", "10s");
        return !must || !may || !grace || json_object_update(document, must) < 0 ||
                               json_object_update_missing(document, may) < 0 ||
                               json_object_update_missing(document, grace) < 0
                       ? error_oom(err)
                       : 0;
}

int render_kubelet_config(const char *base, const KubeletParameters *parameters, Buffer *ret,
                          Error *err)
{
        json_error_t where = { .line = 0 };
        json_auto_t *document =
                isempty(base) ? json_object() : json_loads(base, JSON_REJECT_DUPLICATES, &where);
        if (!document) {
                return error_set(err, ERROR_CONFIG, EINVAL, "line %d, column %d: %s", where.line,
                                 where.column, where.text);
        }
        const char *kind = json_string_value(json_object_get(document, "kind"));
        if (!json_is_object(document) || (kind && !streq(kind, "KubeletConfiguration"))) {
                return error_set(err, ERROR_CONFIG, EINVAL, "not a KubeletConfiguration");
        }
        json_auto_t *ours = kubelet_document(parameters);
        if (!ours || json_object_update(document, ours) < 0) {
                return error_oom(err);
        }
        if (parameters->runtime == RUNTIME_CONTAINERD) {
                int r = add_settings_of_containerd(parameters, document, err);
                if (r < 0) {
                        return r;
                }
        }
        if (parameters->resolv_conf && !json_object_get(document, "resolvConf") &&
            json_object_set_new(document, "resolvConf", json_string(parameters->resolv_conf)) < 0) {
                return error_oom(err);
        }
        return append_json(document, ret, err);
}

int render_kubelet_environment(const KubeletParameters *parameters, Buffer *ret, Error *err)
{
        const KubeletParameters *p = parameters;
        int r = buffer_append_format(ret,
                                     "# Made by kube-bootstrap at every boot.\n"
                                     "KUBELET_FLAGS=--config=%s --cert-dir=%s --kubeconfig=%s "
                                     "--hostname-override=%s --node-ip=%s",
                                     p->config_path, p->cert_dir, p->kubeconfig, p->node_name,
                                     p->node_ip);
        if (r >= 0 && p->runtime == RUNTIME_DOCKER) {
                r = buffer_append_format(ret,
                                         " --container-runtime=docker "
                                         "--pod-infra-container-image=%s",
                                         p->pause_image);
        }
        if (r >= 0 && p->runtime == RUNTIME_CONTAINERD && p->provider_folder) {
                r = buffer_append_format(ret,
                                         " --image-credential-provider-bin-dir=%s "
                                         "--image-credential-provider-config=%s",
                                         p->provider_folder, p->provider_config);
        }
        if (r >= 0 && !streq(p->cloud_provider, "none")) {
                r = buffer_append_format(ret, " --cloud-provider=%s", p->cloud_provider);
        }
        if (r >= 0) {
                r = buffer_append_string(ret, "\n");
        }
        return r < 0 ? error_oom(err) : 0;
}

void render_cluster_dns(Network service_network, char ret[INET_ADDRSTRLEN])
{
        network_format_nth(service_network, 10, ret);
}

static unsigned line_of(const char *text, const char *at)
{
        unsigned line = 1;
        for (const char *p = text; p < at; p++) {
                line += *p == '\n';
        }
        return line;
}

static const RenderVariable *find_variable(const RenderVariable *variables, size_t n_variables,
                                           const char *name, size_t n)
{
        FOREACH_ARRAY(v, variables, n_variables) {
                if (strlen(v->name) == n && memcmp(v->name, name, n) == 0) {
                        return v;
                }
        }
        return NULL;
}

/* Appends the value of the reference whose name begins at `name`. *ret_n is the name's length. */
static int append_variable(const char *text, const char *name, const char *end,
                           const RenderVariable *variables, size_t n_variables, size_t *ret_n,
                           Buffer *ret, Error *err)
{
        const char *brace = memchr(name, '}', (size_t) (end - name));
        const char *newline = memchr(name, '\n', (size_t) (end - name));
        if (!brace || (newline && newline < brace)) {
                return error_set(err, ERROR_CONFIG, EINVAL, "line %u: a \"${\" without its \"}\"",
                                 line_of(text, name));
        }
        size_t n = (size_t) (brace - name);
        const RenderVariable *v = find_variable(variables, n_variables, name, n);
        if (!v) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "line %u: there is no ${%.*s} (\"$${\" stands for \"${\" itself)",
                                 line_of(text, name), n < 64 ? (int) n : 64, name);
        }
        if (!v->value) {
                return error_set(err, ERROR_CONFIG, ENODATA, "line %u: ${%s} has no value here",
                                 line_of(text, name), v->name);
        }
        for (const char *p = v->value; *p; p++) {
                if (iscntrl((unsigned char) *p)) {
                        return error_set(err, ERROR_CONFIG, EINVAL,
                                         "line %u: the value of ${%s} is of more than one line",
                                         line_of(text, name), v->name);
                }
        }
        *ret_n = n;
        return buffer_append_string(ret, v->value) < 0 ? error_oom(err) : 0;
}

int render_template(const char *text, size_t n, const RenderVariable *variables, size_t n_variables,
                    Buffer *ret, Error *err)
{
        const char *end = text + n, *from = text; /* the text before it is appended already */
        for (const char *p = text; p < end;) {
                p = memchr(p, '$', (size_t) (end - p));
                bool escaped = p && end - p >= 3 && memcmp(p, "$${", 3) == 0;
                bool reference = p && end - p >= 2 && memcmp(p, "${", 2) == 0;
                if (!p) {
                        break;
                }
                if (!escaped && !reference) {
                        p++;
                        continue;
                }
                if (buffer_append(ret, from, (size_t) (p - from)) < 0) {
                        return error_oom(err);
                }
                if (escaped) { /* keep the second "$" and what follows it */
                        from = p + 1;
                        p += 3;
                        continue;
                }
                size_t length = 0;
                int r = append_variable(text, p + 2, end, variables, n_variables, &length, ret,
                                        err);
                if (r < 0) {
                        return r;
                }
                from = p += length + 3;
        }
        return buffer_append(ret, from, (size_t) (end - from)) < 0 ? error_oom(err) : 0;
}
