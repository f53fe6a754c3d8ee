/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <assert.h>

#include "base/file.h"
#include "cluster/render.h"
#include "host/unit.h"
#include "steps/api.h"
#include "steps/services/overlay.h"
#include "steps/services/service.h"

/* flannel: the overlay's daemon, with its leases in the cluster's Nodes. It asks the API server as
 * this machine's own kubelet: kubelet may write the status of its Node, and `roles` lets every
 * kubelet read the others. */

#define FLANNEL_CONFIG_FOLDER RUNTIME_FOLDER "/flannel"
#define FLANNEL_CONFIG        FLANNEL_CONFIG_FOLDER "/net-conf.json"

static const ContainerMount flannel_mounts[] = {
        { "/run/flannel", "/run/flannel", false },
        { FLANNEL_CONFIG_FOLDER, "/etc/flannel", true },
        { KUBELET_CERTS, KUBELET_CERTS, true }, /* kubelet's kubeconfig names files there */
        { "/run/xtables.lock", "/run/xtables.lock", false }, /* iptables' own */
};

static const char *const flannel_capabilities[] = { "NET_ADMIN", "NET_RAW", NULL };

typedef struct FlannelContainer {
        char interface[64], node_name[NODE_NAME_MAX + sizeof("NODE_NAME=")];
        const char *argv[16], *environment[2];
        Container container;
} FlannelContainer;

static void flannel_describe(const Boot *boot, FlannelContainer *ret)
{
        (void) snprintf(ret->interface, sizeof(ret->interface), "--iface=%s",
                        boot->identity.local_ip);
        /* without it, flanneld takes itself for a pod, and looks for that */
        (void) snprintf(ret->node_name, sizeof(ret->node_name), "NODE_NAME=%s", boot->node_name);
        const char *const argv[] = {
                "/opt/bin/flanneld",
                "--kube-subnet-mgr",
                "--kubeconfig-file=" KUBELET_KUBECONFIG,
                "--net-config-path=/etc/flannel/net-conf.json",
                ret->interface,
                "--subnet-file=" SUBNET_ENV,
                "--ip-masq",
                NULL,
        };
        static_assert(sizeof(argv) <= sizeof(ret->argv), "argv fits");
        memcpy(ret->argv, argv, sizeof(argv));
        ret->environment[0] = ret->node_name;
        ret->environment[1] = NULL;
        ret->container = (Container) {
                .name = "flanneld",
                .image = boot->images.flannel,
                .argv = ret->argv,
                .environment = ret->environment,
                .mounts = flannel_mounts,
                .n_mounts = ELEMENTS(flannel_mounts),
                .capabilities = flannel_capabilities,
        };
}

/* A look at all Nodes. */
typedef struct NodesLook {
        const Boot *boot;
        OverlayLook *look;
        bool has_ours; /* a Node has the subnet that flanneld wrote into SUBNET_ENV */
} NodesLook;

static int look_at_lease_of_node(const json_t *node, void *userdata, Error *err)
{
        NodesLook *nodes = userdata;
        const Boot *boot = nodes->boot;
        OverlayLease lease;
        if (!overlay_lease_of_node(node, &lease)) {
                return 0; /* its flanneld has not come yet */
        }
        const Network network = { ntohl(lease.network.s_addr), lease.prefix };
        if (streq(kube_api_text(node, "metadata.name"), boot->node_name) &&
            lease.prefix == boot->overlay_prefix &&
            network_overlaps(network, network_of_address(boot->overlay_address))) {
                nodes->has_ours = true;
        }
        return overlay_look_at(nodes->look, &lease, err);
}

/* flanneld writes its lease into this machine's Node when it starts, and not again. A Node that was
 * deleted and registered anew has none, and another subnet. */
static int leases_of_nodes(const Boot *boot, StepContext *context, OverlayLook *look, Error *err)
{
        NodesLook nodes = { .boot = boot, .look = look };
        _cleanup_kube_api_ KubeApi *api = NULL;
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = kube_api_list(api, "/api/v1/nodes", false, step_wait(context),
                                  look_at_lease_of_node, &nodes, err);
        }
        if (r < 0 && err->class == ERROR_DENIED) {
                err->class = ERROR_RETRY; /* a new cluster is given its roles a little later */
        }
        if (r >= 0 && !nodes.has_ours) {
                overlay_miss(look, boot->overlay_address, boot->overlay_prefix,
                             "this machine's Node does not have it");
        }
        return r;
}

static int flannel_render(const Boot *boot, Buffer *ret, Error *err)
{
        return render_flannel_config(boot->config.overlay_network, boot->config.overlay_backend,
                                     ret, err);
}

/* Returns 1 if flanneld was started before its configuration was written, which it reads when it
 * starts; else 0. */
static int is_older_than_config(StepContext *context, Error *err)
{
        struct timespec started;
        int r = docker_container_started(DOCKER_BOOTSTRAP_SOCKET, "flanneld", step_wait(context),
                                         &started, err);
        return r <= 0 ? r : service_is_older_than(&started, FLANNEL_CONFIG, err);
}

int flannel_probe(void *userdata, StepContext *context, Error *err)
{
        FlannelContainer flannel;
        _cleanup_buffer_ Buffer config = {};
        char how[FILE_DIFFERENCE_MAX];
        flannel_describe(userdata, &flannel);
        int r = flannel_render(userdata, &config, err);
        if (r >= 0) {
                r = file_difference(FLANNEL_CONFIG, config.data, config.size, 0644, how, err);
        }
        if (r > 0) {
                step_not_yet(context, "%s", how);
                return 0;
        }
        if (r >= 0) {
                r = is_older_than_config(context, err);
        }
        if (r > 0) {
                step_not_yet(context, "flanneld is older than " FLANNEL_CONFIG);
                return 0;
        }
        return r < 0 ? r
                     : overlay_probe(userdata, &flannel.container, leases_of_nodes, context, err);
}

int flannel_apply(void *userdata, StepContext *context, Error *err)
{
        FlannelContainer flannel;
        _cleanup_buffer_ Buffer config = {};
        flannel_describe(userdata, &flannel);
        int r = flannel_render(userdata, &config, err);
        if (r >= 0) {
                r = file_make_directory(FLANNEL_CONFIG_FOLDER, 0755, err);
        }
        if (r >= 0) {
                r = file_write_if_changed(FLANNEL_CONFIG, config.data, config.size, 0644, err);
        }
        if (r >= 0) {
                r = file_clamp_time(FLANNEL_CONFIG, err);
        }
        if (r >= 0) {
                r = is_older_than_config(context, err);
        }
        if (r > 0) { /* the apply below starts it again */
                r = unit_stop(UNIT_FLANNELD, step_wait(context), err);
        }
        return r < 0 ? r
                     : overlay_apply(userdata, &flannel.container, leases_of_nodes, context, err);
}
