/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aws/ec2.h"
#include "base/network.h"
#include "base/string.h"
#include "host/netif.h"
#include "steps/boot.h"

/* private-ip: the master's fixed address, in EC2 and in the kernel. The step takes it from the
 * instance that has it: both addresses follow the volume, and the volume is attached to this
 * instance. */

/* Refuses an address outside of the interface's subnet. EC2 would refuse it as well, but its
 * message does not say which setting is wrong. */
static int check_subnet(const Boot *boot, const ImdsInterface *primary, const char *address,
                        Error *err)
{
        Network subnet;
        if (network_parse(boot->identity.subnet_cidr, &subnet) < 0) {
                return error_set(err, ERROR_FATAL, EINVAL, "subnet %s of %s is no CIDR block",
                                 boot->identity.subnet_cidr, primary->eni_id);
        }
        if (network_overlaps(subnet, network_of_address(boot->config.master_private_ip))) {
                return 0;
        }
        return error_set(err, ERROR_CONFIG, EADDRNOTAVAIL,
                         "the master's fixed address %s is outside %s, the subnet of %s: expected "
                         "an address of that subnet; correct MASTER_PRIVATE_IP in %s, or start "
                         "masters in its subnet",
                         address, boot->identity.subnet_cidr, primary->eni_id, STACK_CONFIG_PATH);
}

static bool carries(const Ec2Interface *interface, const char *address)
{
        for (size_t i = 0; i < interface->n_addresses; i++) {
                if (streq(interface->addresses[i], address)) {
                        return true;
                }
        }
        return false;
}

/* The facts that probe and apply begin with: the address as text, and the interface as IMDS, EC2
 * and the kernel know it. */
typedef struct PrivateIp {
        char address[INET_ADDRSTRLEN];
        const ImdsInterface *primary;
        Ec2Interface interface;
        Netif netif;
} PrivateIp;

static int look_at_interface(const Boot *boot, const Wait *wait, PrivateIp *ret, Error *err)
{
        (void) inet_ntop(AF_INET, &boot->config.master_private_ip, ret->address,
                         sizeof(ret->address)); /* always fits */
        ret->primary = boot_primary_interface(boot, err);
        if (!ret->primary) {
                return -ENODEV;
        }
        int r = check_subnet(boot, ret->primary, ret->address, err);
        if (r < 0) {
                return r;
        }
        r = netif_find_by_mac(ret->primary->mac, &ret->netif, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ENODEV,
                                 "no interface of this machine has hardware address %s (%s)",
                                 ret->primary->mac, ret->primary->eni_id);
        }
        return ec2_describe_interfaces(boot->aws, (const char *const[]) { ret->primary->eni_id }, 1,
                                       wait, &ret->interface, err);
}

int private_ip_probe(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        PrivateIp look = {};
        int r = look_at_interface(boot, step_wait(context), &look, err);
        if (r < 0) {
                return r;
        }
        if (!carries(&look.interface, look.address)) {
                step_not_yet(context, "EC2 has %s on another interface, or on none", look.address);
                return 0;
        }
        r = netif_has_address(&look.netif, boot->config.master_private_ip, err);
        if (r == 0) {
                step_not_yet(context, "the kernel does not have %s on %s", look.address,
                             look.netif.name);
        }
        return r;
}

/* Refuses an address that is the primary address of an interface: EC2 reassigns secondary addresses
 * only, and a primary address stays with its interface. */
static int refuse_primary(const Boot *boot, const PrivateIp *look, const Wait *wait, Error *err)
{
        Ec2Interface holder = {};
        int r = ec2_find_interface_by_address(boot->aws, look->interface.subnet_id, look->address,
                                              wait, &holder, err);
        if (r <= 0) {
                return r;
        }
        if (!streq(holder.primary_ip, look->address)) {
                return 0;
        }
        int refused = error_set(
                err, ERROR_CONFIG, EADDRINUSE,
                "the master's fixed address %s is the primary address of %s%s%s: expected it free, "
                "or secondary; terminate that instance, and give the master's subnet to masters "
                "alone (or keep the address out of EC2's hands by a CIDR reservation)",
                look->address, holder.eni_id, holder.instance_id[0] ? " of instance " : "",
                holder.instance_id);
        return error_from_aws(err, refused); /* that instance may end */
}

/* Assigns the address in EC2 first: before that, the kernel's address is useless. When
 * systemd-networkd configures the interface again, it drops an address that it does not know, so
 * the resident daemon probes again. */
int private_ip_apply(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        const Wait *wait = step_wait(context);
        PrivateIp look = {};
        int r = look_at_interface(boot, wait, &look, err);
        if (r < 0) {
                return r;
        }
        if (!carries(&look.interface, look.address)) {
                r = refuse_primary(boot, &look, wait, err);
                if (r < 0) {
                        return r;
                }
                r = ec2_assign_private_address(boot->aws, look.primary->eni_id, look.address, wait,
                                               err);
                if (r < 0) {
                        return r;
                }
        }
        return netif_add_address(&look.netif, boot->config.master_private_ip, err);
}
