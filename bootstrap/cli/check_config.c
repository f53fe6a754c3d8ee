/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/verbs.h"

ExitStatus cli_check_config(const Arguments *arguments)
{
        const char *path = arguments->file ? arguments->file : STACK_CONFIG_PATH;
        _cleanup_stack_config_ StackConfig config = {};
        _cleanup_string_list_ StringList problems = {}, warnings = {};
        Error error = {};
        int r = stack_config_check(path, &config, &problems, &warnings, &error);
        for (size_t i = 0; i < warnings.n; i++) {
                (void) fprintf(stderr, "warning: %s\n", warnings.items[i]);
        }
        for (size_t i = 0; i < problems.n; i++) {
                (void) fprintf(stderr, "%s\n", problems.items[i]);
        }
        if (r < 0) {
                (void) fprintf(stderr, "%s\n", error.message);
                return exit_status_from_class(error.class);
        }
        if (r == 0) {
                return exit_status_from_class(ERROR_CONFIG);
        }
        (void) printf("%s: a sound configuration of a %s\n", path, role_to_string(config.role));
        return EXIT_DONE;
}
