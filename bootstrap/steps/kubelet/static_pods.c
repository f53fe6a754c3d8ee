/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "steps/kubelet/manifests.h"

/* static-pods: the pods that kubelet runs without an API server: the control plane on the master,
 * kube-proxy on every machine. */

#define TEMPLATES "/etc/kubernetes/static-pods"
#define MANIFESTS "/etc/kubernetes/manifests" /* kubelet's staticPodPath */

static int static_pods_render(const Boot *boot, StepContext *context, Manifests *ret, Error *err)
{
        int r = manifests_render(boot, context, TEMPLATES "/all", MANIFESTS_LACK_NOTHING, ret, err);
        return r < 0 || boot->config.role != ROLE_MASTER
                       ? r
                       : manifests_render(boot, context, TEMPLATES "/master",
                                          MANIFESTS_LACK_NOTHING, ret, err);
}

/* Returns 1 if the folder of the API server's audit log is private, or if this is a node, which has
 * no such log; else 0. The log tells who did what, and kubelet would make its folder readable for
 * all. */
static int audit_is_private(const Boot *boot, Error *err)
{
        struct stat st;
        if (boot->config.role != ROLE_MASTER) {
                return 1;
        }
        if (stat(MASTER_AUDIT, &st) < 0) {
                return errno == ENOENT ? 0 : error_errno(err, errno, "stat %s", MASTER_AUDIT);
        }
        return (st.st_mode & 07777) == 0700;
}

int static_pods_probe(void *userdata, StepContext *context, Error *err)
{
        _cleanup_manifests_ Manifests manifests = {};
        int r = audit_is_private(userdata, err);
        if (r == 0) {
                step_not_yet(context, MASTER_AUDIT " is missing, or not of mode 0700");
        }
        if (r <= 0) {
                return r;
        }
        char how[FILE_DIFFERENCE_MAX];
        r = static_pods_render(userdata, context, &manifests, err);
        if (r < 0) {
                return r;
        }
        r = manifests_are_installed(&manifests, MANIFESTS, how, err);
        if (r == 0) {
                step_not_yet(context, "%s", how);
        }
        return r;
}

int static_pods_apply(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        _cleanup_manifests_ Manifests manifests = {};
        int r = static_pods_render(boot, context, &manifests, err);
        if (r >= 0 && boot->config.role == ROLE_MASTER) {
                r = file_make_directory(MASTER_AUDIT, 0700, err);
        }
        return r < 0 ? r : manifests_install(&manifests, MANIFESTS, err);
}
