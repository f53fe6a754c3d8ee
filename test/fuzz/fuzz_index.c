/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is accepted is safe to use as file names, and is written and read back the same. */
#include <stdint.h>
#include <stdlib.h>

#include "cluster/artifacts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_file(const ArtifactsIndex *index, const ArtifactsFile *file)
{
        const char *name = artifacts_file_name(file);
        if (!*name || *name == '.' || strchr(name, '/') || file->size > ARTIFACTS_FILE_BYTES_MAX ||
            (artifacts_file_mode(file) & ~0644U) || strstr(file->key, "/../")) {
                abort();
        }
        for (ArtifactsFolder i = 0; i < _ARTIFACTS_FOLDER_MAX; i++) {
                if (artifacts_file_is_in(file, i) && artifacts_index_find(index, i, name) != file) {
                        abort();
                }
        }
        Error err = {};
        (void) artifacts_file_verify(file, "x", 1, &err); /* any answer is fine */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_artifacts_index_ ArtifactsIndex index = {}, again = {};
        Error err = {};
        if (artifacts_index_parse(data, size, &index, &err) < 0) {
                return 0;
        }
        FOREACH_ARRAY(file, index.files, index.n_files) {
                check_file(&index, file);
        }
        _cleanup_buffer_ Buffer text = {}, text_again = {};
        if (artifacts_index_format(&index, &text, &err) < 0 ||
            artifacts_index_parse(text.data, text.size, &again, &err) < 0 ||
            artifacts_index_format(&again, &text_again, &err) < 0 ||
            !streq(text.data, text_again.data)) {
                abort();
        }
        return 0;
}
