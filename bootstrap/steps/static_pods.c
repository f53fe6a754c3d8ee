/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/manifests.h"

/* What kubelet runs by itself, without an API server to tell it to: the control plane on the
 * master, kube-proxy everywhere. */

#define TEMPLATES "/etc/kubernetes/static-pods"
#define MANIFESTS "/etc/kubernetes/manifests" /* kubelet's staticPodPath */

static int render(const Boot *boot, StepContext *context, Manifests *ret, Error *err)
{
        int r = manifests_render(boot, context, TEMPLATES "/all", MANIFESTS_LACK_NOTHING, ret, err);
        return r < 0 || boot->config.role != ROLE_MASTER
                       ? r
                       : manifests_render(boot, context, TEMPLATES "/master",
                                          MANIFESTS_LACK_NOTHING, ret, err);
}

int static_pods_probe(void *userdata, StepContext *context, Error *err)
{
        _cleanup_manifests_ Manifests manifests = {};
        int r = render(userdata, context, &manifests, err);
        return r < 0 ? r : manifests_are_installed(&manifests, MANIFESTS, err);
}

int static_pods_apply(void *userdata, StepContext *context, Error *err)
{
        _cleanup_manifests_ Manifests manifests = {};
        int r = render(userdata, context, &manifests, err);
        return r < 0 ? r : manifests_install(&manifests, MANIFESTS, err);
}
