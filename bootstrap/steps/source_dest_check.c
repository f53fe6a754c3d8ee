/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/ec2.h"
#include "steps/boot.h"

/* source-dest-check: EC2 drops packets of the overlay while an interface has the check on. */

/* Uses the answer of step identity, which has just asked EC2 for the name, for the first probe;
 * later probes ask EC2. */
int source_dest_check_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        int r = boot_take_fresh(&boot->checks_are_fresh)
                        ? 0
                        : boot_look_at_interfaces(boot, step_wait(context), NULL, err);
        if (r < 0) {
                return r;
        }
        for (size_t i = 0; i < boot->identity.n_interfaces; i++) {
                if (boot->checked[i]) {
                        step_not_yet(context, "the source/destination check of interface %s is on",
                                     boot->identity.interfaces[i].eni_id);
                        return 0;
                }
        }
        return 1;
}

/* Switches the check off on each interface: the instance's own attribute cannot be set once there
 * is a second interface. */
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
