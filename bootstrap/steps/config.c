/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "steps/settings.h"
#include "steps/volume/volume_identity.h"

/* config: reads the settings of this instance. */

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

int config_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_stack_config_ StackConfig config = {};
        _cleanup_string_list_ StringList warnings = {};
        Images images = {};
        int r = stack_config_load(STACK_CONFIG_PATH, &config, &warnings, err);
        if (r < 0) {
                return r;
        }
        r = check_settings(&config, err);
        if (r < 0) {
                return r;
        }
        r = images_load(IMAGES_PATH, config.role, &images, err);
        if (r < 0) {
                return r;
        }
        for (size_t i = 0; i < warnings.n; i++) {
                step_warn(context, "%s", warnings.items[i]);
        }
        stack_config_done(&boot->config);
        images_done(&boot->images);
        boot->config = config;
        boot->images = images;
        boot->config_known = true;
        config = (StackConfig) {};
        return 1;
}
