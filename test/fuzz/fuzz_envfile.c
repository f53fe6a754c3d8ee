/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "base/cleanup.h"
#include "config/envfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_envfile_ EnvFile file = {};
        Error err = {};
        (void) envfile_parse("fuzz", (const char *) data, size, &file,
                             &err); /* any answer is fine */
        return 0;
}
