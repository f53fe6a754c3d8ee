/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/file.h"
#include "base/network.h"
#include "cluster/render.h"
#include "host/unit.h"
#include "steps/services/bridge.h"
#include "steps/services/dockerd_start.h"
#include "steps/services/service.h"

/* docker: the container runtime of Kubernetes up to 1.23, on the overlay's subnet. */

#define DOCKER_ENVIRONMENT RUNTIME_FOLDER "/docker.env"

static int render_environment(const Boot *boot, Buffer *ret, Error *err)
{
        char subnet[NETWORK_TEXT_MAX];
        network_format_address(boot->overlay_address, boot->overlay_prefix, subnet);
        return render_docker_environment(POD_BRIDGE, subnet, boot->overlay_mtu,
                                         boot->config.cgroup_driver, ret, err);
}

/* Refuses a docker that does not use CGROUP_DRIVER. The setting is for docker and kubelet: with
 * another driver in docker, kubelet would start and fail. */
static int check_cgroup_driver(const Boot *boot, StepContext *context, Error *err)
{
        DockerInfo info;
        int r = docker_info(DOCKER_SOCKET, step_wait(context), &info, err);
        if (r < 0) {
                return r;
        }
        if (!streq(info.cgroup_driver, boot->config.cgroup_driver)) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "docker uses the cgroup driver \"%s\", but CGROUP_DRIVER is "
                                 "\"%s\"",
                                 info.cgroup_driver, boot->config.cgroup_driver);
        }
        return 0;
}

int docker_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        struct timespec since;
        int r = service_is_active(UNIT_DOCKER, context, &since, err);
        if (r <= 0) {
                return r;
        }
        _cleanup_buffer_ Buffer wanted = {};
        r = render_environment(boot, &wanted, err);
        if (r < 0) {
                return r;
        }
        char how[FILE_DIFFERENCE_MAX];
        r = file_difference(DOCKER_ENVIRONMENT, wanted.data, wanted.size, 0644, how, err);
        if (r > 0) {
                step_not_yet(context, "%s", how);
                return 0;
        }
        if (r < 0) {
                return r;
        }
        r = service_is_older_than(&since, DOCKER_ENVIRONMENT, err);
        if (r > 0) {
                step_not_yet(context, UNIT_DOCKER " is older than " DOCKER_ENVIRONMENT);
                return 0;
        }
        if (r < 0) {
                return r;
        }
        r = bridge_probe(boot, context, err);
        if (r <= 0) {
                return r;
        }
        r = docker_ping(DOCKER_SOCKET, step_wait(context), err);
        if (r == 0) {
                step_not_yet(context, "docker does not answer at " DOCKER_SOCKET);
        }
        if (r <= 0) {
                return r;
        }
        r = check_cgroup_driver(boot, context, err);
        return r < 0 ? r : 1;
}

/* Makes the bridge unless it is right. Nobody reaches the containers on a bridge with another
 * subnet (from an image that was made from a used machine, or from a lost lease), so docker and its
 * containers are stopped before the bridge gets this one. */
static int make_bridge(const Boot *boot, StepContext *context, Error *err)
{
        int r = bridge_probe(boot, context, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        r = unit_stop(UNIT_DOCKER, step_wait(context), err);
        return r < 0 ? r : bridge_make(boot, err);
}

int docker_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_buffer_ Buffer wanted = {};
        int r = render_environment(boot, &wanted, err);
        if (r < 0) {
                return r;
        }
        r = file_write_if_changed(DOCKER_ENVIRONMENT, wanted.data, wanted.size, 0644, err);
        if (r < 0) {
                return r;
        }
        r = file_clamp_time(DOCKER_ENVIRONMENT, err);
        if (r < 0) {
                return r;
        }
        r = make_bridge(boot, context, err);
        return r < 0 ? r : dockerd_start(boot, DOCKERD, service_restart, context, err);
}
