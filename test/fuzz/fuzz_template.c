/* SPDX-License-Identifier: Apache-2.0 */
/* A template that is accepted has no reference left but what "$${" stands for, and once those are
 * written anew it is filled with itself. */
#include <stdint.h>
#include <stdlib.h>

#include "cluster/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const RenderVariable variables[] = { { "A", "value" }, { "NONE", NULL }, { "C", "" } };

/* "${" as a template has it. */
static void escape(const Buffer *text, Buffer *ret)
{
        for (size_t i = 0; i < text->size; i++) {
                bool reference =
                        text->data[i] == '$' && i + 1 < text->size && text->data[i + 1] == '{';
                if (buffer_append(ret, reference ? "$$" : text->data + i, reference ? 2 : 1) < 0) {
                        abort();
                }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_buffer_ Buffer text = {}, template = {}, again = {};
        Error err = {};
        if (render_template((const char *) data, size, variables, ELEMENTS(variables), &text,
                            &err) < 0) {
                if (err.class != ERROR_CONFIG) {
                        abort();
                }
                return 0;
        }
        escape(&text, &template);
        if (render_template(template.data ? template.data : "", template.size, variables,
                            ELEMENTS(variables), &again, &err) < 0 ||
            again.size != text.size || memcmp(again.data, text.data, text.size) != 0) {
                abort();
        }
        return 0;
}
