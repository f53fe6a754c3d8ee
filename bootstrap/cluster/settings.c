/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/settings.h"

#include "base/network.h"

#define SETTING(key, member, absent)                                                               \
        {                                                                                          \
                (key), offsetof(ClusterSettings, member), sizeof(((ClusterSettings *) 0)->member), \
                        (absent)                                                                   \
        }

static const struct {
        const char *key;
        size_t offset, size;
        const char *absent; /* what "" means; NULL: not recorded */
} settings[SETTINGS_MAX] = {
        SETTING("OVERLAY_NETWORK", overlay_network, NULL),
        SETTING("OVERLAY_BACKEND", overlay_backend, NULL),
        SETTING("SERVICE_NETWORK", service_network, NULL),
        SETTING("CLUSTER_DOMAIN", cluster_domain, NULL),
        SETTING("CONTAINER_RUNTIME", container_runtime, "docker"),
};

/* Returns true if both values mean the same. Older clusters recorded a network as it was written:
 * 10.0.0.0/08 is 10.0.0.0/8. */
static bool is_same_setting(const char *a, const char *b)
{
        Network one, other;
        return streq(a, b) || (network_parse(a, &one) == 0 && network_parse(b, &other) == 0 &&
                               one.first == other.first && one.prefix == other.prefix);
}

size_t settings_compare(const ClusterSettings *recorded, const ClusterSettings *given,
                        SettingsDifference ret[SETTINGS_MAX])
{
        size_t n = 0;
        FOREACH_ARRAY(setting, settings, SETTINGS_MAX) {
                const char *old = (const char *) recorded + setting->offset;
                const char *new = (const char *) given + setting->offset;
                if (setting->absent) {
                        old = *old ? old : setting->absent;
                        new = *new ? new : setting->absent;
                }
                if (*old && !is_same_setting(old, new)) {
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
                if (!*old && *new && !setting->absent) {
                        memcpy(old, new, setting->size);
                        any = true;
                }
        }
        return any;
}
