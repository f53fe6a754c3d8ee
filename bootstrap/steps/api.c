/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/api.h"

#include <arpa/inet.h>

#include "cluster/kubeconfig.h"

void api_server(const Boot *boot, char ret[API_SERVER_MAX])
{
        char ip[INET_ADDRSTRLEN] = "127.0.0.1";
        if (boot->config.role == ROLE_NODE) {
                (void) inet_ntop(AF_INET, &boot->config.master_private_ip, ip, sizeof(ip));
        }
        (void) snprintf(ret, API_SERVER_MAX, KUBECONFIG_SERVER, ip);
}

int api_open(const Boot *boot, KubeApi **ret, Error *err)
{
        char server[API_SERVER_MAX];
        api_server(boot, server);
        return boot->config.role == ROLE_MASTER
                       ? kube_api_open_kubeconfig(server, SECRETS_DIR "/ca.crt",
                                                  SECRETS_DIR "/kube-bootstrap.kubeconfig", ret,
                                                  err)
                       : kube_api_open_file(server, SECRETS_DIR "/ca.crt", KUBELET_CLIENT_PEM, ret,
                                            err);
}

int api_write(KubeApi *api, const char *collection, const char *name, const json_t *body,
              const Wait *wait, Error *err)
{
        _cleanup_free_ char *path = string_format("%s/%s", collection, name);
        if (!path) {
                return error_oom(err);
        }
        int r = kube_api_change(api, KUBE_API_PUT, path, body, wait, err);
        if (r == 0) {
                r = kube_api_change(api, KUBE_API_POST, collection, body, wait, err);
        }
        return r < 0 ? r : 0;
}

int api_get_node(const Boot *boot, KubeApi *api, StepContext *context, json_t **ret, Error *err)
{
        const char *name = boot->node_name;
        _cleanup_free_ char *path = string_format("/api/v1/nodes/%s", name);
        if (!path) {
                return error_oom(err);
        }
        int r = kube_api_get(api, path, step_wait(context), ret, err);
        if (r == 0) {
                step_waiting_for(context, "kubelet to register Node %s", name);
        }
        return r;
}
