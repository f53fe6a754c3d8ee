/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "base/cleanup.h"
#include "config/envfile.h"
#include "config/key_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_envfile_ EnvFile file = {};
        Error err = {};
        (void) envfile_parse("fuzz", (const char *) data, size, &file,
                             &err); /* any answer is fine */
        FOREACH_ARRAY(e, file.entries, file.n) {
                (void) key_meant_by(e->key);
                FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                        _cleanup_buffer_ Buffer problem = {};
                        (void) key_check_value(key, e->value, &problem);
                }
        }
        return 0;
}
