/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/verbs.h"

/* The one message names every wrong line, "; " between; here each gets a line of its own. What is
 * quoted from the file may hold "; " as well, so a new problem begins with the file's name. */
static void print_problems(const char *path, const char *message)
{
        _cleanup_free_ char *mark = string_format("; %s:", path);
        for (const char *rest = message; rest;) {
                const char *end = mark ? strstr(rest, mark) : NULL;
                int n = end ? (int) (end - rest) : (int) strlen(rest);
                (void) fprintf(stderr, "%.*s\n", n, rest);
                rest = end ? end + 2 : NULL;
        }
}

ExitStatus cli_check_config(const Arguments *arguments)
{
        const char *path = arguments->file ? arguments->file : STACK_CONFIG_PATH;
        _cleanup_stack_config_ StackConfig config = { 0 };
        _cleanup_string_list_ StringList warnings = { 0 };
        Error error = { 0 };
        int r = stack_config_load(path, &config, &warnings, &error);
        for (size_t i = 0; i < warnings.n; i++) {
                (void) fprintf(stderr, "warning: %s\n", warnings.items[i]);
        }
        if (r < 0) {
                print_problems(path, error.message);
                return exit_status_from_class(error.class);
        }
        (void) printf("%s: a sound configuration of a %s\n", path, role_to_string(config.role));
        return EXIT_DONE;
}
