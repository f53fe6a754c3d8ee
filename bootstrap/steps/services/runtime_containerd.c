/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "host/cri.h"
#include "host/journal.h"
#include "steps/services/cni.h"
#include "steps/services/service.h"

/* containerd: the container runtime of a current Kubernetes. Its configuration is the AMI's; the
 * step starts it and compares what it says of itself with what this machine needs. docker-bootstrap
 * shares it, so it is not restarted. */

#define ANSWERS_S 60 /* the time that a start of containerd may take */

/* Returns 1 and the state, or 0 while containerd does not answer or is not ready. */
static int look_at_runtime(StepContext *context, CriStatus *ret, Error *err)
{
        int r = cri_status(CRI_SOCKET, step_wait(context), ret, err);
        if (r == -ENOENT || r == -ECONNREFUSED) {
                service_not_yet(UNIT_CONTAINERD, "it does not answer at " CRI_SOCKET, context);
                return 0;
        }
        if (r >= 0 && !ret->runtime_ready.is_true) {
                step_not_yet(context, "containerd is not ready: %s", ret->runtime_ready.message);
                return 0;
        }
        return r < 0 ? r : 1;
}

static int containerd_answers(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        CriStatus status;
        return look_at_runtime(context, &status, err);
}

/* Refuses a configuration with which kubelet would start and its pods would not. */
static int check_status(const Boot *boot, const CriStatus *status, Error *err)
{
        if (!streq(status->cgroup_driver, boot->config.cgroup_driver)) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "containerd uses the cgroup driver \"%s\", but CGROUP_DRIVER is "
                                 "\"%s\": change that, or SystemdCgroup in "
                                 "/etc/containerd/config.toml, for every machine",
                                 status->cgroup_driver, boot->config.cgroup_driver);
        }
        if (!streq(status->cni_conf_dir, CNI_FOLDER)) {
                return error_set(
                        err, ERROR_CONFIG, EINVAL,
                        "containerd reads the pods' network from \"%s\", expected " CNI_FOLDER
                        ": conf_dir in /etc/containerd/config.toml",
                        status->cni_conf_dir);
        }
        return 0;
}

/* Refuses an AMI without the programs that the cni step's configuration names, and "loopback",
 * which containerd runs for every pod. containerd itself reports a network as soon as it has the
 * configuration. */
static int check_cni_programs(const CriStatus *status, Error *err)
{
        static const char *const programs[] = { "bridge", "host-local", "loopback", "portmap" };
        FOREACH_ARRAY(program, programs, ELEMENTS(programs)) {
                bool found = false;
                for (size_t i = 0; i < status->n_cni_bin_dirs; i++) {
                        char path[CRI_TEXT_MAX + 16];
                        (void) snprintf(path, sizeof(path), "%s/%s", status->cni_bin_dirs[i],
                                        *program);
                        found = found || access(path, X_OK) == 0;
                }
                if (!found) {
                        return error_set(
                                err, ERROR_CONFIG, ENOENT,
                                "the network plugin %s is not in %s, where containerd looks "
                                "for it: the AMI is incomplete",
                                *program,
                                status->n_cni_bin_dirs ? status->cni_bin_dirs[0] : "any folder");
                }
        }
        return 0;
}

/* Refuses a store whose pause image kubelet would collect: no pod starts without it, and nothing is
 * pulled. containerd pins the image that its configuration names, and tells since 1.7. */
static int check_pause_image(const Boot *boot, StepContext *context, Error *err)
{
        CriImage image;
        int r = cri_image_id(CRI_SOCKET, boot->images.pause, step_wait(context), &image, err);
        if (r == 0) {
                return error_set(err, ERROR_CONFIG, ENOENT,
                                 "%s is not among containerd's images: the AMI is incomplete",
                                 boot->images.pause);
        }
        if (r < 0 || image.is_pinned) {
                return r < 0 ? r : 0;
        }
        CriVersion version;
        r = cri_version(CRI_SOCKET, step_wait(context), &version, err);
        return r < 0 ? r
                     : error_set(
                               err, ERROR_CONFIG, ENOTSUP,
                               "%s %s does not keep %s, so kubelet would delete it: name it as "
                               "sandbox_image in /etc/containerd/config.toml, with containerd 1.7 "
                               "or later",
                               version.name, version.version, boot->images.pause);
}

int containerd_probe(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        CriStatus status;
        int r = service_is_active(UNIT_CONTAINERD, context, NULL, err);
        if (r <= 0) {
                return r;
        }
        r = look_at_runtime(context, &status, err);
        if (r <= 0) {
                return r;
        }
        r = check_status(boot, &status, err);
        if (r >= 0) {
                r = check_cni_programs(&status, err);
        }
        if (r >= 0) {
                r = check_pause_image(boot, context, err);
        }
        return r < 0 ? r : 1;
}

int containerd_apply(void *userdata, StepContext *context, Error *err)
{
        int r = service_start(UNIT_CONTAINERD, context, err);
        if (r < 0) {
                return r;
        }
        r = step_await(context, containerd_answers, userdata, service_looks, ANSWERS_S, err);
        if (r == 0) {
                (void) error_set(err, ERROR_RETRY, ETIMEDOUT,
                                 "containerd does not answer at " CRI_SOCKET);
                return journal_explain(UNIT_CONTAINERD, err);
        }
        return r < 0 ? r : 0;
}
