/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is accepted must be told again and read back the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/state_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const Step steps[] = { { .name = "config" }, { .name = "identity" }, { .name = "ready" } };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static StateFile first, again;
        Error err = {};
        if (state_file_parse((const char *) data, size, steps, 3, &first, &err) < 0) {
                return 0;
        }
        const StateFileHead head = { first.instance_id, first.role, first.runtime, first.boot_id,
                                     first.pid };
        _cleanup_buffer_ Buffer text = {};
        if (state_file_format(&head, &first.status, &text, &err) < 0 ||
            state_file_parse(text.data, text.size, steps, 3, &again, &err) < 0 ||
            again.status.phase != first.status.phase) {
                abort();
        }
        for (size_t i = 0; i < 3; i++) {
                if (again.status.steps[i].state != first.status.steps[i].state ||
                    again.status.steps[i].started_us != first.status.steps[i].started_us) {
                        abort();
                }
        }
        return 0;
}
