/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#include "base/cleanup.h"
#include "steps/settings.h"
#include "steps/volume/volume_identity.h"

/* config: reads the settings of this instance. */

/* Replaces *setting by a copy of the text. */
static int replace_setting(char **setting, const char *text, Error *err)
{
        char *copy = strdup(text);
        if (!copy) {
                return error_oom(err);
        }
        free(*setting);
        *setting = copy;
        return 0;
}

/* Refuses settings that do not go with the AMI's container runtime, and fills in those that follow
 * from it. */
static int settle_runtime(StackConfig *config, const Images *images, Error *err)
{
        const char *carried = container_runtime_to_string(images->runtime);
        if (!isempty(config->container_runtime) && !streq(config->container_runtime, carried)) {
                return error_set(
                        err, ERROR_CONFIG, EINVAL,
                        "%s:%u: CONTAINER_RUNTIME=%s, but this AMI carries %s (%s): launch "
                        "an AMI with %s, or set CONTAINER_RUNTIME=%s for every machine",
                        STACK_CONFIG_PATH, stack_config_line(config, "CONTAINER_RUNTIME"),
                        config->container_runtime, carried, IMAGES_PATH, config->container_runtime,
                        carried);
        }
        int r = replace_setting(&config->container_runtime, carried, err);
        if (r >= 0 && isempty(config->cgroup_driver)) {
                r = replace_setting(&config->cgroup_driver,
                                    images->runtime == RUNTIME_DOCKER ? "cgroupfs" : "systemd",
                                    err);
        }
        if (r < 0) {
                return r;
        }
        _cleanup_string_list_ StringList problems = {};
        if (stack_config_check_provider(STACK_CONFIG_PATH, config, &problems) < 0) {
                return error_oom(err);
        }
        return problems.n > 0 ? stack_config_refuse(&problems, err) : 0;
}

/* Compares the settings with those of the volume's cluster if the volume is mounted already, before
 * any step changes anything. Steps that need the volume report what is wrong with the volume
 * itself. */
static int check_settings(const StackConfig *config, Error *err)
{
        VolumeIdentity volume = {};
        if (config->role != ROLE_MASTER || volume_identity_look(&volume, ERROR_IGNORED) < 0 ||
            !volume.exists || !streq(volume.identity.cluster_name, config->cluster_name)) {
                return 0;
        }
        const LineageScene scene = { .identity = &volume.identity,
                                     .etcd_member = volume.etcd_member };
        return settings_check_volume(config, &scene, err);
}

/* The least of a control plane that kubeadm accepts (ControlPlaneNumCPU, ControlPlaneMem).
 * https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/ */
#define MASTER_CPUS 2
#define MASTER_MIB  1700

static void warn_of_small_master(const StackConfig *config, StepContext *context)
{
        struct sysinfo info = {};
        if (config->role != ROLE_MASTER || sysinfo(&info) < 0) {
                return;
        }
        const uint64_t mib = ((uint64_t) info.totalram * info.mem_unit) >> 20;
        const int cpus = get_nprocs();
        if (cpus < MASTER_CPUS || mib < MASTER_MIB) {
                step_warn(context,
                          "a master needs %d processors and %d MiB of memory, this machine has "
                          "%d and %" PRIu64 " MiB: give it a larger instance type",
                          MASTER_CPUS, MASTER_MIB, cpus, mib);
        }
}

int config_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_stack_config_ StackConfig config = {};
        _cleanup_string_list_ StringList warnings = {};
        _cleanup_images_ Images images = {};
        int r = stack_config_load(STACK_CONFIG_PATH, &config, &warnings, err);
        if (r >= 0) {
                r = images_load(IMAGES_PATH, config.role, &images, err);
        }
        if (r >= 0) {
                r = settle_runtime(&config, &images, err);
        }
        if (r >= 0) {
                r = check_settings(&config, err);
        }
        if (r < 0) {
                return r;
        }
        for (size_t i = 0; i < warnings.n; i++) {
                step_warn(context, "%s", warnings.items[i]);
        }
        warn_of_small_master(&config, context);
        stack_config_done(&boot->config);
        images_done(&boot->images);
        boot->config = config;
        boot->images = images;
        boot->config_known = true;
        config = (StackConfig) {};
        images = (Images) {};
        return 1;
}
