/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aws/ec2.h"
#include "base/string.h"
#include "host/netif.h"
#include "steps/settings.h"

/* source-dest-check, elastic-ip, private-ip: what EC2's network believes of this instance. Both
 * addresses are taken from whoever has them: they follow the volume, and we hold that. */

static const ImdsInterface *primary_interface(const Boot *boot, Error *err)
{
        if (boot->identity.n_interfaces > 0) {
                return &boot->identity.interfaces[0];
        }
        (void) error_set(err, ERROR_FATAL, ENODEV, "instance metadata names no network interface");
        return NULL;
}

/* Identity has just asked EC2, for the name: its answer is the first look. */
int source_dest_check_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        int r = boot->checks_are_fresh
                        ? 0
                        : boot_look_at_interfaces(boot, step_wait(context), NULL, err);
        boot->checks_are_fresh = false;
        if (r < 0) {
                return r;
        }
        for (size_t i = 0; i < boot->identity.n_interfaces; i++) {
                if (boot->checked[i]) {
                        return 0;
                }
        }
        return 1;
}

/* On each interface: the instance's own attribute cannot be set once there is a second one. */
int source_dest_check_apply(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        for (size_t i = 0; i < boot->identity.n_interfaces; i++) {
                int r = !boot->checked[i]
                                ? 0
                                : ec2_set_source_dest_check(boot->aws,
                                                            boot->identity.interfaces[i].eni_id,
                                                            false, step_wait(context), err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

int elastic_ip_probe(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        const ImdsInterface *primary = primary_interface(boot, err);
        Ec2Address address = {};
        if (!primary) {
                return -ENODEV;
        }
        int r = ec2_describe_address(boot->aws, boot->config.master_eip_allocation_id,
                                     step_wait(context), &address, err);
        if (r < 0) {
                return error_prefix(err, "Elastic IP (MASTER_EIP_ALLOCATION_ID in %s)",
                                    STACK_CONFIG_PATH);
        }
        r = settings_warn_of_address(context, address.public_ip, err);
        return r < 0 ? r
                     : streq(address.eni_id, primary->eni_id) &&
                               streq(address.private_ip, boot->identity.local_ip);
}

/* The address may be gone because another has become the master meanwhile: what volume-attach found
 * may be minutes old. */
static int check_volume_is_here(const Boot *boot, const Wait *wait, Error *err)
{
        const char *id = boot->config.master_volume_id;
        Ec2Volume volume = {};
        int r = ec2_describe_volume(boot->aws, id, wait, &volume, err);
        if (r < 0) {
                return error_prefix(err, "whether volume %s is still here", id);
        }
        if (volume.attached && streq(volume.attachment.state, "attached") &&
            streq(volume.attachment.instance_id, boot->identity.instance_id)) {
                return 0;
        }
        return error_set(err, ERROR_RETRY, EBUSY,
                         "volume %s is %s%s, not attached to this instance: the Elastic IP is "
                         "left to whoever has the volume",
                         id, volume.attached ? "with " : volume.state,
                         volume.attached ? volume.attachment.instance_id : "");
}

int elastic_ip_apply(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        const ImdsInterface *primary = primary_interface(boot, err);
        if (!primary) {
                return -ENODEV;
        }
        int r = check_volume_is_here(boot, step_wait(context), err);
        if (r < 0) {
                return r;
        }
        return ec2_associate_address(boot->aws, boot->config.master_eip_allocation_id,
                                     primary->eni_id, boot->identity.local_ip, step_wait(context),
                                     err);
}

/* EC2 takes only addresses of the interface's subnet; its own message would not say whose fault it
 * is. */
static int check_subnet(const Boot *boot, const ImdsInterface *primary, const char *address,
                        Error *err)
{
        char network[20];
        struct in_addr base;
        uint64_t prefix;
        (void) snprintf(network, sizeof(network), "%s", boot->identity.subnet_cidr);
        char *slash = strchr(network, '/');
        if (!slash) {
                return error_set(err, ERROR_FATAL, EINVAL, "subnet %s of %s is no CIDR block",
                                 boot->identity.subnet_cidr, primary->eni_id);
        }
        *slash = '\0';
        if (inet_pton(AF_INET, network, &base) != 1 ||
            string_parse_u64(slash + 1, 32, &prefix) < 0) {
                return error_set(err, ERROR_FATAL, EINVAL, "subnet %s of %s is no CIDR block",
                                 boot->identity.subnet_cidr, primary->eni_id);
        }
        uint32_t mask = prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
        if ((ntohl(base.s_addr) & mask) == (ntohl(boot->config.master_private_ip.s_addr) & mask)) {
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

/* What both functions begin with: the address as text, the interface as IMDS, EC2 and the kernel
 * know it. */
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
        ret->primary = primary_interface(boot, err);
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
                return 0;
        }
        return netif_has_address(&look.netif, boot->config.master_private_ip, err);
}

/* EC2 reassigns secondary addresses only; a primary one goes with its interface. */
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

/* EC2 first: the kernel's address is worth nothing before. systemd-networkd drops an address that
 * it does not know when it configures the interface anew: the resident daemon looks again. */
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
