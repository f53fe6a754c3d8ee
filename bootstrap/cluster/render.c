/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/render.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/cleanup.h"

static int append_json(const json_t *json, Buffer *ret, Error *err)
{
        _cleanup_free_ char *text = json ? json_dumps(json, JSON_SORT_KEYS | JSON_INDENT(2)) : NULL;
        if (!text || buffer_append_format(ret, "%s\n", text) < 0) {
                return error_oom(err);
        }
        return 0;
}

int render_flannel_config(const char *network, const char *backend, Buffer *ret, Error *err)
{
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

int render_parse_kubelet_version(const char *text, KubeletVersion *ret, Error *err)
{
        KubeletVersion version;
        int used = 0;
        if (sscanf(text, "Kubernetes v%3u.%3u.%n", &version.major, &version.minor, &used) != 2 ||
            used == 0) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "kubelet --version says \"%.64s\": expected \"Kubernetes v1.X.Y\"",
                                 text);
        }
        if (version.major != 1 || version.minor < 16 || version.minor > 23) {
                return error_set(err, ERROR_CONFIG, ENOTSUP,
                                 "kubelet is version %u.%u: with docker, 1.16 to 1.23 work",
                                 version.major, version.minor);
        }
        *ret = version;
        return 0;
}

/* Every kubelet that runs with docker takes these. Without an API server there is nobody to ask who
 * may do what, so kubelet's own port stays shut, which leaves nothing to authorise; its health
 * endpoint is another one, on the loopback. */
static json_t *kubelet_document(const KubeletParameters *p)
{
        return json_pack(
                "{s:s, s:s, s:s, s:s, s:[s], s:s, s:s, s:i, s:i, s:b, s:{s:{s:b}, s:{s:b}},"
                " s:{s:s}}",
                "apiVersion", "kubelet.config.k8s.io/v1beta1", "kind", "KubeletConfiguration",
                "cgroupDriver", p->cgroup_driver, "clusterDomain", p->cluster_domain, "clusterDNS",
                p->cluster_dns, "staticPodPath", "/etc/kubernetes/manifests", "healthzBindAddress",
                "127.0.0.1", "healthzPort", 10248, "readOnlyPort", 0, "enableServer", 0,
                "authentication", "anonymous", "enabled", 0, "webhook", "enabled", 0,
                "authorization", "mode", "AlwaysAllow");
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
        return append_json(document, ret, err);
}

int render_kubelet_environment(const KubeletParameters *parameters, Buffer *ret, Error *err)
{
        const KubeletParameters *p = parameters;
        int r = buffer_append_format(ret,
                                     "# Made by kube-bootstrap at every boot.\n"
                                     "KUBELET_FLAGS=--config=%s --cert-dir=%s "
                                     "--hostname-override=%s --node-ip=%s "
                                     "--container-runtime=docker --pod-infra-container-image=%s",
                                     p->config_path, p->cert_dir, p->node_name, p->node_ip,
                                     p->pause_image);
        if (r >= 0 && !streq(p->cloud_provider, "none")) {
                r = buffer_append_format(ret, " --cloud-provider=%s", p->cloud_provider);
        }
        if (r >= 0) {
                r = buffer_append_string(ret, "\n");
        }
        return r < 0 ? error_oom(err) : 0;
}

int render_cluster_dns(const char *service_network, char *ret, Error *err)
{
        char address[INET_ADDRSTRLEN] = "";
        struct in_addr in;
        const char *slash = strchr(service_network, '/');
        size_t n = slash ? (size_t) (slash - service_network) : sizeof(address);
        if (n < sizeof(address)) {
                memcpy(address, service_network, n);
        }
        if (inet_pton(AF_INET, address, &in) != 1) {
                return error_set(err, ERROR_CONFIG, EINVAL, "service network %s: not a network",
                                 service_network);
        }
        in.s_addr = htonl(ntohl(in.s_addr) + 10);
        (void) inet_ntop(AF_INET, &in, ret, INET_ADDRSTRLEN);
        return 0;
}
