/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/verbs.h"

static void print_edges(const Step *to)
{
        for (size_t from = 0; from < _BOOT_STEP_MAX; from++) {
                if (to->needs & STEP_MASK(from)) {
                        bool always = (to->runs_on & ~boot_steps[from].runs_on) == 0;
                        (void) printf("        \"%s\" -> \"%s\"%s;\n", boot_steps[from].name,
                                      to->name, always ? "" : " [style=dashed]");
                }
        }
}

ExitStatus cli_graph(void)
{
        (void) printf(
                "digraph boot {\n"
                "        rankdir=LR;\n"
                "        node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n"
                "        label=\"blue: master only; dashed: needed on the master only; "
                "bold: can destroy data\";\n");
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                const Step *s = &boot_steps[i];
                const char *colour = s->runs_on == ROLE_ALL ? "white" : "lightblue";
                (void) printf("        \"%s\" [tooltip=\"%s\", fillcolor=%s%s];\n", s->name,
                              s->makes_true, colour, s->destroys_data ? ", penwidth=3" : "");
        }
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                print_edges(&boot_steps[i]);
        }
        (void) printf("}\n");
        return EXIT_DONE;
}
