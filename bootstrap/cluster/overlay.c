/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/overlay.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/network.h"
#include "base/string.h"

#define ANNOTATION "flannel.alpha.coreos.com/"

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

/* Fills in what the backend says of itself: {"VNI":1,"VtepMAC":"..."} for VXLAN. Returns 1, or 0
 * without a backend. */
static int parse_backend(const char *type, const json_t *data, OverlayLease *ret)
{
        const char *mac = json_string_value(json_object_get(data, "VtepMAC"));
        (void) snprintf(ret->backend, sizeof(ret->backend), "%s", strempty(type));
        (void) snprintf(ret->vtep_mac, sizeof(ret->vtep_mac), "%s", strempty(mac));
        return ret->backend[0] != '\0';
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
        json_auto_t *json = json_loads(value, 0, NULL);
        if (!parse_backend(json_string_value(json_object_get(json, "BackendType")),
                           json_object_get(json, "BackendData"), &lease)) {
                return 0;
        }
        *ret = lease;
        return 1;
}

int overlay_lease_of_node(const json_t *node, OverlayLease *ret)
{
        const json_t *annotations =
                json_object_get(json_object_get(node, "metadata"), "annotations");
        const char *data =
                json_string_value(json_object_get(annotations, ANNOTATION "backend-data"));
        const char *cidr =
                json_string_value(json_object_get(json_object_get(node, "spec"), "podCIDR"));
        OverlayLease lease = {};
        if (!cidr || network_parse_address(cidr, &lease.network, &lease.prefix) < 0) {
                return 0;
        }
        json_auto_t *json = data ? json_loads(data, 0, NULL) : NULL;
        if (!parse_backend(
                    json_string_value(json_object_get(annotations, ANNOTATION "backend-type")),
                    json, &lease)) {
                return 0;
        }
        *ret = lease;
        return 1;
}
