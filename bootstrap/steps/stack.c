/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/stack.h"

#include "aws/cloudformation.h"
#include "base/cleanup.h"

/* 1, or 0 if there is none. */
static int find_stack(const Boot *boot, char **ret_name, char **ret_resource, Error *err)
{
        const StackConfig *config = &boot->config;
        if (!boot->config_known) {
                return stack_config_find_stack(STACK_CONFIG_PATH, ret_name, ret_resource, err);
        }
        if (isempty(config->stack_name)) {
                return 0;
        }
        _cleanup_free_ char *name = strdup(config->stack_name);
        _cleanup_free_ char *resource = strdup(config->stack_resource);
        if (!name || !resource) {
                return error_oom(err);
        }
        *ret_name = TAKE(name);
        *ret_resource = TAKE(resource);
        return 1;
}

int stack_signal(Boot *boot, bool ready, const Wait *wait, Error *err)
{
        _cleanup_free_ char *name = NULL, *resource = NULL;
        int r = find_stack(boot, &name, &resource, err);
        if (r <= 0) {
                return r;
        }
        if (!boot->aws || isempty(boot->identity.instance_id)) {
                r = boot_open_aws(boot, wait, err);
                if (r < 0) {
                        return r;
                }
        }
        r = cloudformation_signal_resource(boot->aws, name, resource, boot->identity.instance_id,
                                           ready, wait, err);
        return r < 0 ? r : 1;
}
