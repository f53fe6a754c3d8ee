/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/cfn_signal.h"

#include "aws/cloudformation.h"
#include "base/cleanup.h"

/* Finds the names of the stack and its resource. Returns 1, or 0 if no stack is named. */
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

/* Returns the name in a stack's id (arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/NAME/UUID),
 * or a copy of `stack` if it is a name already. NULL: no memory. AWS's model of SignalResource
 * takes ids of three partitions only, but names in all of them. */
static char *name_of(const char *stack)
{
        const char *last = strrchr(stack, '/');
        const char *before = last ? memrchr(stack, '/', (size_t) (last - stack)) : NULL;
        return before ? strndup(before + 1, (size_t) (last - before - 1)) : strdup(stack);
}

int cfn_signal_send(Boot *boot, bool ready, const Wait *wait, Error *err)
{
        _cleanup_free_ char *stack = NULL, *resource = NULL;
        int r = find_stack(boot, &stack, &resource, err);
        if (r <= 0 || !stack) {
                return r;
        }
        _cleanup_free_ char *name = name_of(stack);
        if (!name) {
                return error_oom(err);
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
