/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "aws/ec2.h"
#include "base/string.h"
#include "steps/settings.h"

/* elastic-ip: takes the Elastic IP from the instance that has it, as private-ip takes the private
 * address. */

int elastic_ip_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        const Ec2Address *address = &boot->elastic_ip;
        if (!boot_primary_interface(boot, err)) {
                return -ENODEV;
        }
        int r = boot_take_fresh(&boot->elastic_ip_is_fresh)
                        ? 0
                        : boot_look_at_elastic_ip(boot, step_wait(context), err);
        if (r >= 0) {
                r = settings_warn_of_address(context, address->public_ip, err);
        }
        if (r < 0) {
                return r;
        }
        if (!boot_has_elastic_ip(boot)) {
                step_not_yet(context, "%s is associated with %s", address->public_ip,
                             isempty(address->eni_id) ? "no interface" : address->eni_id);
                return 0;
        }
        return 1;
}

/* Checks that the volume is still attached to this instance. The address may have moved because
 * another instance has become the master: what volume-attach found may be minutes old. */
static int check_volume_is_here(const Boot *boot, const Wait *wait, Error *err)
{
        const char *id = boot->config.master_volume_id;
        Ec2Volume volume = {};
        int r = ec2_describe_volume(boot->aws, id, wait, &volume, err);
        if (r < 0) {
                return error_prefix(err, "check that volume %s is still attached", id);
        }
        if (volume.attached && streq(volume.attachment.state, "attached") &&
            streq(volume.attachment.instance_id, boot->identity.instance_id)) {
                return 0;
        }
        const char *with = volume.attached ? "with " : "";
        const char *place = volume.attached ? volume.attachment.instance_id : volume.state;
        return error_set(err, ERROR_RETRY, EBUSY,
                         "volume %s is %s%s, not attached to this instance: the Elastic IP is "
                         "left to the instance that has the volume",
                         id, with, place);
}

int elastic_ip_apply(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        const ImdsInterface *primary = boot_primary_interface(boot, err);
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
