/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/services/cni.h"

#include "base/file.h"
#include "base/network.h"
#include "cluster/render.h"
#include "host/cri.h"
#include "steps/services/bridge.h"

/* cni: the pods' network, on this machine's part of the overlay. containerd reads the file anew
 * whenever it changes, and kubelet reports the Node as Ready once there is one. */

#define CNI_CONFIG CNI_FOLDER "/10-overlay.conflist"

/* Writes the overlay's subnet, 10.244.5.0/24, of which the bridge has the first address. */
static void format_subnet(const Boot *boot, char ret[NETWORK_TEXT_MAX])
{
        char address[NETWORK_TEXT_MAX];
        Network network;
        network_format_address(boot->overlay_address, boot->overlay_prefix, address);
        (void) network_parse(address, &network); /* 1: the network around the address */
        network_format(network, ret);
}

static int cni_render(const Boot *boot, Buffer *ret, Error *err)
{
        char subnet[NETWORK_TEXT_MAX];
        format_subnet(boot, subnet);
        return render_cni(POD_BRIDGE, subnet, boot->overlay_mtu, ret, err);
}

int cni_probe(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        _cleanup_buffer_ Buffer wanted = {};
        char how[FILE_DIFFERENCE_MAX];
        CriStatus status;
        int r = bridge_probe(boot, context, err);
        if (r <= 0) {
                return r;
        }
        r = cni_render(boot, &wanted, err);
        if (r >= 0) {
                r = file_difference(CNI_CONFIG, wanted.data, wanted.size, 0644, how, err);
        }
        if (r > 0) {
                step_not_yet(context, "%s", how);
                return 0;
        }
        if (r >= 0) {
                r = cri_status(CRI_SOCKET, step_wait(context), &status, err);
        }
        if (r >= 0 && !status.network_ready.is_true) {
                step_not_yet(context, "containerd has no network for pods: %s",
                             status.network_ready.message);
                return 0;
        }
        return r < 0 ? r : 1;
}

/* The bridge comes first: a pod that started before it would have its plugin make one. A bridge
 * with another subnet is of a Node that was deleted, and was given this subnet when it registered
 * anew. A pod with an address of the earlier subnet keeps it and reaches nothing: that subnet has
 * no gateway here, and may be another machine's. */
static int make_network(const Boot *boot, StepContext *context, Error *err)
{
        int r = bridge_probe(boot, context, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        r = bridge_make(boot, err);
        if (r > 0) {
                char subnet[NETWORK_TEXT_MAX];
                format_subnet(boot, subnet);
                step_warn(context,
                          "bridge " POD_BRIDGE " had another subnet: pods with an address outside "
                          "%s have no network, delete them (kubectl get pods -A -o wide lists "
                          "addresses)",
                          subnet);
        }
        return r < 0 ? r : 0;
}

int cni_apply(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        _cleanup_buffer_ Buffer wanted = {};
        int r = make_network(boot, context, err);
        if (r >= 0) {
                r = cni_render(boot, &wanted, err);
        }
        if (r >= 0) {
                r = file_make_directory(CNI_FOLDER, 0755, err);
        }
        if (r >= 0) {
                r = file_write_if_changed(CNI_CONFIG, wanted.data, wanted.size, 0644, err);
        }
        return r < 0 ? r : 0;
}
