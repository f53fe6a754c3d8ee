/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/settings.h"

#define SETTING(key, member)                                                                      \
        {                                                                                         \
                (key), offsetof(ClusterSettings, member), sizeof(((ClusterSettings *) 0)->member) \
        }

static const struct {
        const char *key;
        size_t offset, size;
} settings[SETTINGS_MAX] = {
        SETTING("OVERLAY_NETWORK", overlay_network),
        SETTING("OVERLAY_BACKEND", overlay_backend),
        SETTING("SERVICE_NETWORK", service_network),
        SETTING("CLUSTER_DOMAIN", cluster_domain),
};

size_t settings_compare(const ClusterSettings *recorded, const ClusterSettings *given,
                        SettingsDifference ret[SETTINGS_MAX])
{
        size_t n = 0;
        FOREACH_ARRAY(setting, settings, SETTINGS_MAX) {
                const char *old = (const char *) recorded + setting->offset;
                const char *new = (const char *) given + setting->offset;
                if (*old && !streq(old, new)) {
                        ret[n++] = (SettingsDifference) { setting->key, old, new };
                }
        }
        return n;
}

bool settings_complete(ClusterSettings *recorded, const ClusterSettings *given)
{
        bool any = false;
        FOREACH_ARRAY(setting, settings, SETTINGS_MAX) {
                char *old = (char *) recorded + setting->offset;
                const char *new = (const char *) given + setting->offset;
                if (!*old && *new) {
                        memcpy(old, new, setting->size);
                        any = true;
                }
        }
        return any;
}
