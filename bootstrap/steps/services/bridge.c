/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/services/bridge.h"

#include "host/netif.h"

static int bridge_is_right(const Boot *boot, Error *err)
{
        Netif bridge;
        int r = netif_find_by_name(POD_BRIDGE, &bridge, err);
        if (r <= 0) {
                return r;
        }
        struct in_addr address;
        unsigned prefix = 0;
        r = netif_first_address(&bridge, &address, &prefix, err);
        return r <= 0 ? r
                      : address.s_addr == boot->overlay_address.s_addr &&
                                prefix == boot->overlay_prefix;
}

int bridge_probe(const Boot *boot, StepContext *context, Error *err)
{
        int r = bridge_is_right(boot, err);
        if (r == 0) {
                step_not_yet(context, "bridge " POD_BRIDGE " does not have the overlay's address");
        }
        return r;
}

int bridge_make(const Boot *boot, Error *err)
{
        int r = netif_make_bridge(POD_BRIDGE, boot->overlay_address, boot->overlay_prefix,
                                  boot->overlay_mtu, err);
        return r <= 0 ? r : netif_has_ports(POD_BRIDGE, err);
}
