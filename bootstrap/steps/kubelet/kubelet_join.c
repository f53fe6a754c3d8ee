/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/time.h"
#include "steps/api.h"
#include "steps/services/service.h"

/* kubelet-join: kubelet's Node is registered with the API server.
 *
 * kubelet registers its Node when it starts, and never again (registerWithAPIServer() in
 * https://github.com/kubernetes/kubernetes/blob/v1.20.2/pkg/kubelet/kubelet_node_status.go). If
 * somebody deleted the Node, a restart of kubelet registers it again.
 *
 * A master's kubelet starts before the API server, which it runs. It retries what failed meanwhile
 * with growing pauses: its Node after up to 7 s, and its CSINode, without which it is not Ready,
 * after 19 s and then 2 min (initializeCSINode() in pkg/volume/csi/csi_plugin.go). So it is
 * restarted once the API server is ready, and registers at once. */

/* Longer than kubelet takes to register after its start: it tries every 7 s at least. */
#define REGISTERS_S 60

/* Returns when the Node's kubelet reported its conditions last; 0 if never. */
static time_t reported_at(const json_t *node)
{
        struct timespec last = {};
        const json_t *condition;
        size_t i;
        json_array_foreach(json_object_get(json_object_get(node, "status"), "conditions"), i,
                           condition) {
                if (streq(kube_api_text(condition, "type"), "Ready")) {
                        (void) time_parse(kube_api_text(condition, "lastHeartbeatTime"), &last);
                }
        }
        return last.tv_sec;
}

/* Returns true if this kubelet began before the API server was ready. */
static bool began_too_early(const Boot *boot, const struct timespec *since)
{
        return since->tv_sec < boot->api_since;
}

/* Returns 1 if kubelet's Node exists, and is not only that of an earlier kubelet. */
static int is_registered(const Boot *boot, const struct timespec *since, StepContext *context,
                         Error *err)
{
        _cleanup_kube_api_ KubeApi *api = NULL;
        json_auto_t *node = NULL;
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = api_get_node(boot, api, context, &node, err);
        }
        if (r < 0 && err->class == ERROR_DENIED) {
                err->class = ERROR_RETRY; /* a new cluster makes its roles a little later */
        }
        if (r == 0) {
                step_not_yet(context, "there is no Node %s", boot->node_name);
        }
        if (r > 0 && began_too_early(boot, since) && reported_at(node) < since->tv_sec) {
                step_not_yet(context, "kubelet began before the API server, and has not reported");
                return 0;
        }
        return r;
}

int kubelet_join_probe(void *userdata, StepContext *context, Error *err)
{
        struct timespec since;
        int r = service_is_active(UNIT_KUBELET, context, &since, err);
        return r <= 0 ? r : is_registered(userdata, &since, context, err);
}

/* Waits for a kubelet that has started lately to register its Node. Returns 1, or 0 if kubelet must
 * be restarted. */
static int await_registration(Boot *boot, StepContext *context, Error *err)
{
        struct timespec since;
        int r = service_is_active(UNIT_KUBELET, context, &since, err);
        if (r <= 0) {
                return r;
        }
        time_t age_s = time(NULL) - since.tv_sec;
        if (age_s < REGISTERS_S && began_too_early(boot, &since)) {
                return 0;
        }
        r = age_s < REGISTERS_S ? step_await(context, kubelet_join_probe, boot, service_looks,
                                             (unsigned) (REGISTERS_S - age_s), err)
                                : 0;
        if (r == 0) {
                step_warn(context, "kubelet has not registered Node %s: restarting kubelet",
                          boot->node_name);
        }
        return r;
}

int kubelet_join_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        int r = await_registration(boot, context, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        r = service_restart(UNIT_KUBELET, context, err);
        if (r >= 0) {
                r = step_await(context, kubelet_join_probe, boot, service_looks, REGISTERS_S, err);
        }
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ETIMEDOUT,
                                 "kubelet has not registered Node %s in %d s: see journalctl "
                                 "-u " UNIT_KUBELET,
                                 boot->node_name, REGISTERS_S);
        }
        return r < 0 ? r : 0;
}
