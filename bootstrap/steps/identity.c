/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/networks.h"
#include "steps/boot.h"

/* identity: learns what this instance is, and changes nothing. */

/* Compares the role in stack-config.sh with what EC2 says of the instance. The IAM role decides
 * what the instance may do, so a contradiction is an error. */
static int check_role(const StackConfig *config, const ImdsIdentity *identity, Error *err)
{
        const char *role = role_to_string(config->role);
        const char *expected =
                config->role == ROLE_MASTER ? config->master_iam_role : config->node_iam_role;
        if (isempty(identity->iam_role)) {
                return error_from_aws(err, error_set(err, ERROR_CONFIG, ENOENT,
                                                     "instance %s has no IAM role: launch it with "
                                                     "the instance profile of role %s",
                                                     identity->instance_id, expected));
        }
        if (!streq(identity->iam_role, expected)) {
                return error_set(
                        err, ERROR_CONFIG, EINVAL,
                        "%s says KUBERNETES_ROLE=%s, whose IAM role is %s, but instance %s "
                        "has IAM role %s",
                        STACK_CONFIG_PATH, role, expected, identity->instance_id,
                        identity->iam_role);
        }
        if (!isempty(identity->role_tag) && !streq(identity->role_tag, role)) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "%s says KUBERNETES_ROLE=%s, but instance %s is tagged "
                                 "KubernetesRole=%s",
                                 STACK_CONFIG_PATH, role, identity->instance_id,
                                 identity->role_tag);
        }
        return 0;
}

/* Refuses an overlay or service network that overlaps a network of the VPC: traffic to an address
 * in both would never leave the machine. Interfaces may be in different VPCs. */
static int check_networks(const Boot *boot, const Wait *wait, Error *err)
{
        _cleanup_string_list_ StringList problems = {};
        for (size_t i = 0; i < boot->identity.n_interfaces && problems.n == 0; i++) {
                Network networks[IMDS_VPC_NETWORKS_MAX];
                size_t n = 0;
                int r = imds_vpc_networks(boot->imds, boot->identity.interfaces[i].mac, wait,
                                          networks, &n, err);
                if (r < 0) {
                        return r;
                }
                if (networks_check_vpc(STACK_CONFIG_PATH, &boot->config, networks, n, &problems) <
                    0) {
                        return error_oom(err);
                }
        }
        return problems.n > 0 ? stack_config_refuse(&problems, err) : 0;
}

/* Waits for the role's credentials, as long as credentials.h says: IMDS lists the role of a young
 * instance late. */
static int learn_role(Boot *boot, StepContext *context, Error *err)
{
        _cleanup_aws_keys_ AwsKeys keys = {};
        const Wait *wait = step_wait(context);
        bool listed = !isempty(boot->identity.iam_role);
        step_waiting_for(context, "%s%s",
                         listed ? "the credentials of IAM role "
                                : "an IAM role: instance metadata lists none yet",
                         boot->identity.iam_role);
        int r = listed ? check_role(&boot->config, &boot->identity, err) : 0;
        if (r < 0) {
                return r;
        }
        r = credentials_get(boot->credentials, wait, &keys, err);
        if (listed || (r < 0 && r != -ENOENT)) {
                return r;
        }
        if (r >= 0) {
                r = boot_open_aws(boot, wait, err);
                if (r < 0) {
                        return r;
                }
        }
        return check_role(&boot->config, &boot->identity, err);
}

/* Opens the bucket, which must belong to this instance's own account. */
static int open_bucket(Boot *boot, const Wait *wait, Error *err)
{
        int r = imds_account(boot->imds, wait, boot->account, err);
        return r < 0 ? r
                     : s3_bucket_new(boot->aws, boot->config.s3_bucket, boot->account,
                                     boot->config.kms_key_id, &boot->bucket, err);
}

/* Asks EC2 for this machine's name, because the master looks the instance up by it. The name that
 * IMDS and the kernel have is not used: DHCP's option set decides it. */
static int learn_name(Boot *boot, const Wait *wait, Error *err)
{
        Ec2Interface primary = {};
        int r = boot_look_at_interfaces(boot, wait, &primary, err);
        if (r < 0) {
                return error_prefix(err, "this machine's name");
        }
        memcpy(boot->subnet_id, primary.subnet_id, sizeof(boot->subnet_id));
        memcpy(boot->vpc_id, primary.vpc_id, sizeof(boot->vpc_id));
        boot->checks_are_fresh = true;
        boot->has_fixed_address = ec2_interface_has(&primary, boot->config.master_private_ip);
        boot->fixed_address_is_fresh = !boot->has_fixed_address;
        if (isempty(primary.private_dns_name)) {
                return error_set(err, ERROR_CONFIG, ENODATA,
                                 "interface %s has no private DNS name, by which a cluster knows "
                                 "its machines: DNS host names are switched off in its VPC; "
                                 "switch them on (aws ec2 modify-vpc-attribute --vpc-id %s "
                                 "--enable-dns-hostnames Value=true)",
                                 primary.eni_id, primary.vpc_id);
        }
        return node_name_from_ec2(primary.private_dns_name, boot->node_name, err);
}

int identity_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        step_waiting_for(context, "the instance metadata service");
        int r = boot_open_aws(boot, step_wait(context), err);
        if (r >= 0) {
                r = learn_role(boot, context, err);
        }
        if (r >= 0) {
                r = check_networks(boot, step_wait(context), err);
        }
        if (r >= 0 && !boot->bucket) {
                r = open_bucket(boot, step_wait(context), err);
        }
        if (r >= 0) {
                step_waiting_for(context, "EC2 to name this machine");
                r = learn_name(boot, step_wait(context), err);
        }
        return r < 0 ? r : 1;
}
