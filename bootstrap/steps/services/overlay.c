/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/services/overlay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "base/network.h"
#include "config/envfile.h"
#include "host/journal.h"
#include "host/netif.h"
#include "steps/services/service.h"

#define OVERLAY_DEVICE "flannel.1" /* of VXLAN, with flannel's own VNI */

#define ROUTES_S 10 /* the time that flanneld may take to follow a lease */
static const StepRetry routes_looks = { .first_ms = 500, .max_ms = 500 };

/* Reads and checks the file that flanneld wrote, because it becomes the pods' network. Returns
 * 1 with the facts filled. */
static int parse_subnet(Boot *boot, Error *err)
{
        _cleanup_envfile_ EnvFile file = {};
        int r = envfile_load(SUBNET_ENV, &file, err);
        if (r < 0) {
                return r;
        }
        const EnvEntry *subnet = envfile_get(&file, "FLANNEL_SUBNET");
        const EnvEntry *mtu = envfile_get(&file, "FLANNEL_MTU");
        struct in_addr address;
        unsigned prefix;
        uint64_t mtu_bytes;
        if (!subnet || !mtu || network_parse_address(subnet->value, &address, &prefix) < 0 ||
            prefix > 30 || string_parse_u64(mtu->value, 65535, &mtu_bytes) < 0 || mtu_bytes < 576) {
                return error_set(err, ERROR_RETRY, EINVAL,
                                 SUBNET_ENV ": no valid FLANNEL_SUBNET and FLANNEL_MTU in it");
        }
        boot->overlay_address = address;
        boot->overlay_prefix = prefix;
        boot->overlay_mtu = (unsigned) mtu_bytes;
        return 1;
}

/* Reads the file that flanneld wrote. Returns 1 with the facts filled; 0 if there is no file yet,
 * or if it is older than the container's start: then an earlier flanneld wrote it, and its lease
 * may be another machine's now. */
static int read_subnet(Boot *boot, StepContext *context, Error *err)
{
        struct timespec started;
        int r = docker_container_started(DOCKER_BOOTSTRAP_SOCKET, "flanneld", step_wait(context),
                                         &started, err);
        if (r <= 0 || access(SUBNET_ENV, F_OK) < 0) {
                return r < 0 ? r : 0;
        }
        r = service_is_older_than(&started, SUBNET_ENV, err);
        return r <= 0 ? r : parse_subnet(boot, err);
}

/* How many leases the kernel does not match, the first, and a sum that tells one set from
 * another. */
struct OverlayLook {
        const Boot *boot;
        unsigned missing;
        uint64_t set;
        char first[80];
};

/* Returns 1 if there is a route to the lease and, for VXLAN, a neighbour with the lease's hardware
 * address; else 0. A machine that was replaced has its subnet again and another MAC. flannel before
 * 0.21.5 loses the event of a lease; flannel before 0.28.6 gets no events after an outage of etcd
 * if etcd was compacted meanwhile. */
static int is_reached(const OverlayLease *lease, Error *err)
{
        int r = netif_has_route(lease->network, lease->prefix, NULL, err);
        return r <= 0 || isempty(lease->vtep_mac)
                       ? r
                       : netif_has_neighbour(lease->network, lease->vtep_mac, err);
}

/* Returns 1 if flannel.1 has the hardware address that our lease names, else 0. Other machines send
 * to that address.
 * https://github.com/flannel-io/flannel/issues/1795 */
static int is_ours_right(const OverlayLease *lease, Error *err)
{
        return isempty(lease->vtep_mac) ? 1 : netif_has_mac(OVERLAY_DEVICE, lease->vtep_mac, err);
}

void overlay_miss(OverlayLook *look, struct in_addr network, unsigned prefix, const char *why)
{
        char address[INET_ADDRSTRLEN];
        (void) inet_ntop(AF_INET, &network, address, sizeof(address)); /* fits */
        look->set += ntohl(network.s_addr) + ((uint64_t) prefix << 32);
        if (look->missing++ == 0) {
                (void) snprintf(look->first, sizeof(look->first), "%s/%u: %s", address, prefix,
                                why);
        }
}

int overlay_look_at(OverlayLook *look, const OverlayLease *lease, Error *err)
{
        const Boot *boot = look->boot;
        if (!streq(lease->backend, boot->config.overlay_backend)) {
                return 0; /* flannel makes no route for another backend, as after a change */
        }
        const Network network = { ntohl(lease->network.s_addr), lease->prefix };
        bool ours = network_overlaps(network, network_of_address(boot->overlay_address));
        int r = ours ? is_ours_right(lease, err) /* its route is the pods' bridge */
                     : is_reached(lease, err);
        if (r == 0) {
                overlay_miss(look, lease->network, lease->prefix,
                             ours ? "ours names another hardware address than " OVERLAY_DEVICE "'s"
                                  : "no route to it");
        }
        return r < 0 ? r : 0;
}

int overlay_probe(Boot *boot, const Container *flanneld, OverlayLeases *leases,
                  StepContext *context, Error *err)
{
        int r = service_container_runs(UNIT_FLANNELD, flanneld, context, err);
        if (r <= 0) {
                return r;
        }
        r = read_subnet(boot, context, err);
        if (r == 0) {
                step_not_yet(context, "flanneld has written no " SUBNET_ENV " since it started");
        }
        if (r <= 0) {
                return r;
        }
        OverlayLook look = { .boot = boot };
        r = leases(boot, context, &look, err);
        if (r < 0) {
                return r;
        }
        if (look.missing == 0) {
                boot->memory.unmended_leases = 0;
                return 1;
        }
        if (look.set != boot->memory.unmended_leases) {
                step_not_yet(context, "the overlay does not match %u leases (first %s)",
                             look.missing, look.first);
                return 0;
        }
        step_warn(context,
                  "the overlay does not match %u leases (first %s), not even after a restart of "
                  "flanneld: pods do not reach each other there; see journalctl -u %s",
                  look.missing, look.first, UNIT_FLANNELD);
        return 1;
}

/* Waits until flanneld has written the file, woken by events of the folder. Returns 1, or 0 if
 * flanneld has not written it within a minute. */
static int wait_for_subnet(Boot *boot, StepContext *context, Error *err)
{
        _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0 || inotify_add_watch(fd, "/run/flannel", IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
                return error_errno(err, errno, "watch /run/flannel");
        }
        Wait part = wait_part(step_wait(context), 60000);
        for (;;) {
                int r = read_subnet(boot, context, err);
                if (r != 0) {
                        return r;
                }
                step_waiting_for(context, "flanneld to lease a subnet: see journalctl -u %s",
                                 UNIT_FLANNELD);
                r = wait_fd(&part, fd, POLLIN, err);
                if (r <= 0) {
                        return r;
                }
                char events[4096];
                (void) read(fd, events, sizeof(events)); /* read_subnet() looks at the file */
        }
}

typedef struct RoutesWait {
        OverlayLeases *leases;
        OverlayLook look; /* as it found the leases last */
} RoutesWait;

static int routes_match(void *userdata, StepContext *context, Error *err)
{
        RoutesWait *wait = userdata;
        wait->look = (OverlayLook) { .boot = wait->look.boot };
        int r = wait->leases(wait->look.boot, context, &wait->look, err);
        if (r < 0 || wait->look.missing == 0) {
                return r < 0 ? r : 1;
        }
        step_waiting_for(context, "the overlay to match the lease %s", wait->look.first);
        return 0;
}

/* Waits until the kernel matches all leases: the route of a new lease may come a little later.
 * Returns 1, or 0 if some leases are still not matched after ROUTES_S. */
static int await_routes(RoutesWait *wait, StepContext *context, Error *err)
{
        return step_await(context, routes_match, wait, routes_looks, ROUTES_S, err);
}

/* Restarts flanneld if a lease is not matched in time: flanneld has lost the event, and after a
 * restart it reads all leases. */
static int mend_routes(Boot *boot, OverlayLeases *leases, StepContext *context, Error *err)
{
        RoutesWait wait = { .leases = leases, .look.boot = boot };
        int r = await_routes(&wait, context, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        step_warn(context, "the overlay does not match %u leases (first %s): restarting flanneld",
                  wait.look.missing, wait.look.first);
        r = service_restart(UNIT_FLANNELD, context, err);
        if (r >= 0) {
                r = wait_for_subnet(boot, context, err);
        }
        if (r <= 0) { /* 0: the next probe says what is missing */
                return r;
        }
        r = await_routes(&wait, context, err);
        if (r >= 0) {
                /* Another restart would not help, and a machine that waited for these leases would
                 * never be ready. A different set of leases causes another restart. */
                boot->memory.unmended_leases = wait.look.set;
        }
        return r < 0 ? r : 0;
}

int overlay_apply(Boot *boot, const Container *flanneld, OverlayLeases *leases,
                  StepContext *context, Error *err)
{
        int r = file_make_directory("/run/flannel", 0755, err);
        if (r >= 0) {
                r = file_touch("/run/xtables.lock", 0600, err);
        }
        if (r >= 0) {
                r = service_container_start(UNIT_FLANNELD, flanneld, context, err);
        }
        if (r >= 0) {
                r = wait_for_subnet(boot, context, err);
        }
        if (r == 0) { /* flanneld runs but writes no file, or the clock was set back */
                r = service_restart(UNIT_FLANNELD, context, err);
                if (r < 0) {
                        return r;
                }
                r = wait_for_subnet(boot, context, err);
        }
        if (r == 0) {
                (void) error_set(err, ERROR_RETRY, ETIMEDOUT, "flanneld leases no subnet");
                return journal_explain(UNIT_FLANNELD, err);
        }
        return r < 0 ? r : mend_routes(boot, leases, context, err);
}
