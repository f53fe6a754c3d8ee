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

/* The facts that probe and apply begin with: the address as text, and the interface as IMDS and the
 * kernel know it. */
typedef struct PrivateIp {
        char address[INET_ADDRSTRLEN];
        const ImdsInterface *primary;
        Netif netif;
} PrivateIp;

static int look_at_interface(const Boot *boot, PrivateIp *ret, Error *err)
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
        return 0;
}

/* Asks EC2 if the interface has the address; the first time, identity has just asked. */
static int look_at_ec2(Boot *boot, const ImdsInterface *primary, const Wait *wait, Error *err)
{
        Ec2Interface interface = {};
        if (boot_take_fresh(&boot->fixed_address_is_fresh)) {
                return 0;
        }
        int r = ec2_describe_interfaces(boot->aws, (const char *const[]) { primary->eni_id }, 1,
                                        wait, &interface, err);
        if (r >= 0) {
                boot->has_fixed_address =
                        ec2_interface_has(&interface, boot->config.master_private_ip);
        }
        return r;
}

int private_ip_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        PrivateIp look = {};
        int r = look_at_interface(boot, &look, err);
        if (r >= 0) {
                r = look_at_ec2(boot, look.primary, step_wait(context), err);
        }
        if (r < 0) {
                return r;
        }
        if (!boot->has_fixed_address) {
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

/* Called when EC2 has refused to assign the address. Says who has it if that is why: EC2 reassigns
 * secondary addresses only, and a primary address stays with its interface. Otherwise *err remains
 * EC2's. Returns the negative errno of *err; `r` is that of EC2's. */
static int explain_refusal(const Boot *boot, const PrivateIp *look, const Wait *wait, int r,
                           Error *err)
{
        Ec2Interface holder = {};
        if (ec2_find_interface_by_address(boot->aws, boot->subnet_id, look->address, wait, &holder,
                                          ERROR_IGNORED) <= 0 ||
            !streq(holder.primary_ip, look->address)) {
                return r;
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
        int r = look_at_interface(boot, &look, err);
        if (r < 0) {
                return r;
        }
        if (!boot->has_fixed_address) {
                r = ec2_assign_private_address(boot->aws, look.primary->eni_id, look.address, wait,
                                               err);
                if (r < 0) {
                        return isempty(err->aws_code) ? r
                                                      : explain_refusal(boot, &look, wait, r, err);
                }
        }
        return netif_add_address(&look.netif, boot->config.master_private_ip, err);
}
