/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/boot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/string.h"

int boot_open_aws(Boot *boot, const Wait *wait, Error *err)
{
        ImdsIdentity identity;
        int r = boot->imds ? 0 : imds_new(NULL, &boot->imds, err);
        if (r < 0) {
                return r;
        }
        r = imds_identity(boot->imds, wait, &identity, err);
        if (r < 0) {
                return r;
        }
        boot->identity = identity;
        if (!boot->credentials) {
                r = credentials_new_imds(boot->imds, &boot->credentials, err);
        }
        if (r >= 0 && !boot->aws) {
                r = aws_client_new(boot->credentials, boot->identity.region, boot->identity.domain,
                                   &boot->aws, err);
        }
        return r < 0 ? r : 0;
}

int boot_look_at_interfaces(Boot *boot, const Wait *wait, Ec2Interface *ret_primary, Error *err)
{
        const char *ids[IMDS_INTERFACES_MAX];
        size_t n = boot->identity.n_interfaces;
        if (n == 0) {
                return error_set(err, ERROR_FATAL, ENODEV,
                                 "instance metadata names no network interface");
        }
        _cleanup_free_ Ec2Interface *interfaces = calloc(n, sizeof(*interfaces));
        if (!interfaces) {
                return error_oom(err);
        }
        for (size_t i = 0; i < n; i++) {
                ids[i] = boot->identity.interfaces[i].eni_id;
        }
        int r = ec2_describe_interfaces(boot->aws, ids, n, wait, interfaces, err);
        if (r < 0) {
                return r;
        }
        for (size_t i = 0; i < n; i++) {
                boot->checked[i] = interfaces[i].source_dest_check;
        }
        if (ret_primary) {
                *ret_primary = interfaces[0];
        }
        return 0;
}

int boot_look_at_elastic_ip(Boot *boot, const Wait *wait, Error *err)
{
        int r = ec2_describe_address(boot->aws, boot->config.master_eip_allocation_id, wait,
                                     &boot->elastic_ip, err);
        return r >= 0 ? r
                      : error_prefix(err, "Elastic IP (MASTER_EIP_ALLOCATION_ID in %s)",
                                     STACK_CONFIG_PATH);
}

bool boot_has_elastic_ip(const Boot *boot)
{
        return boot->identity.n_interfaces > 0 &&
               streq(boot->elastic_ip.eni_id, boot->identity.interfaces[0].eni_id) &&
               streq(boot->elastic_ip.private_ip, boot->identity.local_ip);
}

unsigned boot_kind(void *userdata)
{
        const Boot *boot = userdata;
        if (!boot->config_known) {
                return 0;
        }
        const unsigned role = boot->config.role == ROLE_MASTER ? KIND_MASTER : KIND_NODE;
        return role & (boot->images.runtime == RUNTIME_CONTAINERD ? KIND_CONTAINERD : KIND_DOCKER);
}

void boot_reset(Boot *boot)
{
        s3_bucket_free(boot->bucket);
        stack_config_done(&boot->config);
        images_done(&boot->images);
        *boot = (Boot) { .overrides = boot->overrides,
                         .memory = boot->memory,
                         .imds = boot->imds,
                         .credentials = boot->credentials,
                         .aws = boot->aws };
}

void boot_done(Boot *boot)
{
        boot_reset(boot);
        aws_client_free(TAKE(boot->aws));
        credentials_free(TAKE(boot->credentials));
        imds_free(TAKE(boot->imds));
}

const ImdsInterface *boot_primary_interface(const Boot *boot, Error *err)
{
        if (boot->identity.n_interfaces > 0) {
                return &boot->identity.interfaces[0];
        }
        (void) error_set(err, ERROR_FATAL, ENODEV, "instance metadata names no network interface");
        return NULL;
}
