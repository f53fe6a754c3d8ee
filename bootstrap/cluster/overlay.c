/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/overlay.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>

#include "base/network.h"
#include "base/string.h"

int overlay_config_parse(const char *text, char ret_network[20], char ret_backend[16])
{
        json_auto_t *json = json_loads(text, 0, NULL);
        const char *network = json_string_value(json_object_get(json, "Network"));
        const char *backend =
                json_string_value(json_object_get(json_object_get(json, "Backend"), "Type"));
        if (isempty(network) || isempty(backend)) {
                return 0;
        }
        (void) snprintf(ret_network, 20, "%s",
                        network); /* a longer one is not ours, and differs from ours */
        (void) snprintf(ret_backend, 16, "%s", backend);
        return 1;
}

int overlay_lease_parse(const char *name, const char *value, OverlayLease *ret)
{
        char text[NETWORK_TEXT_MAX];
        OverlayLease lease = {};
        (void) snprintf(text, sizeof(text), "%s", name); /* a longer one is none */
        char *dash = strchr(text, '-');
        if (!dash || strlen(name) >= sizeof(text)) {
                return 0;
        }
        *dash = '/';
        if (network_parse_address(text, &lease.network, &lease.prefix) < 0) {
                return 0;
        }
        json_t *json = json_loads(value, 0, NULL);
        const char *backend = json_string_value(json_object_get(json, "BackendType"));
        (void) snprintf(lease.backend, sizeof(lease.backend), "%s", strempty(backend));
        const char *mac =
                json_string_value(json_object_get(json_object_get(json, "BackendData"), "VtepMAC"));
        (void) snprintf(lease.vtep_mac, sizeof(lease.vtep_mac), "%s", strempty(mac));
        json_decref(json);
        if (!lease.backend[0]) {
                return 0;
        }
        *ret = lease;
        return 1;
}
