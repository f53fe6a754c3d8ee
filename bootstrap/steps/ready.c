/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/ready.h"

#include <errno.h>
#include <time.h>

#include "base/time.h"
#include "steps/api.h"
#include "steps/kubelet/join.h"
#include "steps/services/service.h"

/* ready: the last row of the table. The units of this role are active, and the cluster sees this
 * machine's Node as Ready. */

static int units_are_active(Boot *boot, StepContext *context, Error *err)
{
        const uint64_t here = steps_of(boot_steps, _BOOT_STEP_MAX, boot_kind(boot));
        FOREACH_ARRAY(u, services, SERVICES_MAX) {
                if (!(u->steps & here)) {
                        continue;
                }
                int r = service_is_active(u->unit, context, NULL, err);
                if (r < 0) {
                        return r;
                }
                if (r == 0) {
                        return error_set(err, ERROR_RETRY, EAGAIN, "%s is not active", u->unit);
                }
        }
        return 0;
}

/* Returns 1 and the condition if the Node is Ready; else 0, after saying what the Node says
 * instead. */
static int node_is_ready(const json_t *node, const json_t **ret, StepContext *context)
{
        const json_t *conditions = json_object_get(json_object_get(node, "status"), "conditions"),
                     *condition;
        size_t i;
        json_array_foreach(conditions, i, condition) {
                if (!streq(kube_api_text(condition, "type"), "Ready")) {
                        continue;
                }
                if (streq(kube_api_text(condition, "status"), "True")) {
                        *ret = condition;
                        return 1;
                }
                step_waiting_for(context, "the Node to be Ready: %.200s",
                                 kube_api_text(condition, "message"));
                return 0;
        }
        step_waiting_for(context, "the Node to be Ready: kubelet has said nothing yet");
        return 0;
}

static bool is_of_late(const char *text)
{
        struct timespec then;
        return time_parse(text, &then) >= 0 && time(NULL) - then.tv_sec < NODE_LEASE_S;
}

/* Returns 1 if kubelet was heard of lately, else 0. A Node stays Ready when its kubelet dies, but
 * nobody renews the Lease then, nor writes the condition. A new Node has no Lease for some ten
 * seconds.
 * https://kubernetes.io/docs/concepts/architecture/nodes/#node-heartbeats */
static int kubelet_is_heard(const json_t *ready, const json_t *lease, StepContext *context)
{
        const char *renewed = kube_api_text(lease, "spec.renewTime");
        if (is_of_late(renewed) || is_of_late(kube_api_text(ready, "lastHeartbeatTime"))) {
                return 1;
        }
        step_waiting_for(context, "kubelet to renew its Lease, last at %.40s",
                         isempty(renewed) ? "no time" : renewed);
        return 0;
}

int ready_look_at_node(const Boot *boot, StepContext *context, Error *err)
{
        const char *name = boot->node_name;
        _cleanup_kube_api_ KubeApi *api = NULL;
        json_auto_t *node = NULL, *lease = NULL;
        const json_t *ready = NULL; /* the node's condition */
        _cleanup_free_ char *lease_path = string_format(
                "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/%s", name);
        if (!lease_path) {
                return error_oom(err);
        }
        int r = api_open(boot, &api, err);
        if (r == -ENOENT && boot->config.role == ROLE_NODE) {
                step_waiting_for(context, "the master to let kubelet join, by a certificate");
                return 0;
        }
        if (r < 0) {
                return r;
        }
        r = api_get_node(boot, api, context, &node, err);
        if (r <= 0) {
                return r;
        }
        r = node_is_ready(node, &ready, context);
        if (r <= 0) {
                return r;
        }
        r = kube_api_get(api, lease_path, step_wait(context), &lease, err);
        if (r < 0) {
                return r;
        }
        return kubelet_is_heard(ready, r ? lease : NULL, context);
}

int ready_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        int r = units_are_active(boot, context, err);
        if (r >= 0) {
                r = ready_look_at_node(boot, context, err);
        }
        if (r < 0 && err->class == ERROR_DENIED) {
                err->class = ERROR_RETRY; /* a new cluster makes its roles a little later */
        }
        return r;
}
