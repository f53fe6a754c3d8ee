/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <assert.h>

#include "steps/services/etcd.h"
#include "steps/services/flannel.h"
#include "steps/services/overlay.h"

/* flanneld: the overlay's daemon, with its leases in etcd. */

static const ContainerMount flanneld_mounts[] = {
        { "/run/flannel", "/run/flannel", false },
        { SECRETS_DIR "/etcd-ca.crt", "/etc/flannel/ca.crt", true },
        { SECRETS_DIR "/flanneld.crt", "/etc/flannel/client.crt", true },
        { SECRETS_DIR "/flanneld.key", "/etc/flannel/client.key", true },
        { "/run/xtables.lock", "/run/xtables.lock",
          false }, /* iptables' own lock, shared with docker */
};

static const char *const flanneld_capabilities[] = { "NET_ADMIN", "NET_RAW", NULL };

typedef struct FlanneldContainer {
        char endpoints[64], interface[64];
        const char *argv[16];
        Container container;
} FlanneldContainer;

static void flanneld_describe(const Boot *boot, FlanneldContainer *ret)
{
        char ip[INET_ADDRSTRLEN];
        (void) inet_ntop(AF_INET, &boot->config.master_private_ip, ip, sizeof(ip));
        (void) snprintf(ret->endpoints, sizeof(ret->endpoints), "--etcd-endpoints=" ETCD_URL, ip);
        (void) snprintf(ret->interface, sizeof(ret->interface), "--iface=%s",
                        boot->identity.local_ip);
        const char *const argv[] = {
                "/opt/bin/flanneld",
                ret->endpoints,
                "--etcd-prefix=" OVERLAY_PREFIX,
                "--etcd-cafile=/etc/flannel/ca.crt",
                "--etcd-certfile=/etc/flannel/client.crt",
                "--etcd-keyfile=/etc/flannel/client.key",
                ret->interface,
                "--subnet-file=" SUBNET_ENV,
                "--ip-masq",
                NULL,
        };
        static_assert(sizeof(argv) <= sizeof(ret->argv), "argv fits");
        memcpy(ret->argv, argv, sizeof(argv));
        ret->container = (Container) {
                .name = "flanneld",
                .image = boot->images.flannel,
                .argv = ret->argv,
                .mounts = flanneld_mounts,
                .n_mounts = ELEMENTS(flanneld_mounts),
                .capabilities = flanneld_capabilities,
        };
}

static int look_at_lease(const char *key, const char *value, void *userdata, Error *err)
{
        OverlayLease lease;
        return overlay_lease_parse(key + strlen(OVERLAY_SUBNETS), value, &lease)
                       ? overlay_look_at(userdata, &lease, err)
                       : 0;
}

static int leases_in_etcd(const Boot *boot, StepContext *context, OverlayLook *look, Error *err)
{
        _cleanup_etcd_session_ EtcdSession session = {};
        int r = etcd_open(boot, OVERLAY_READER, SECRETS_DIR "/etcd-overlay-password", &session,
                          err);
        return r < 0 ? r
                     : etcd_list(&session.client, OVERLAY_SUBNETS, step_wait(context),
                                 look_at_lease, look, err);
}

int flanneld_probe(void *userdata, StepContext *context, Error *err)
{
        FlanneldContainer flanneld;
        flanneld_describe(userdata, &flanneld);
        return overlay_probe(userdata, &flanneld.container, leases_in_etcd, context, err);
}

int flanneld_apply(void *userdata, StepContext *context, Error *err)
{
        FlanneldContainer flanneld;
        flanneld_describe(userdata, &flanneld);
        return overlay_apply(userdata, &flanneld.container, leases_in_etcd, context, err);
}
