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

/* Returns what to write below a step's name, for a step of one container runtime alone. */
static const char *runtime_of(const Step *step)
{
        if (!(step->runs_on & KIND_CONTAINERD)) {
                return "\\n(docker)";
        }
        return step->runs_on & KIND_DOCKER ? "" : "\\n(containerd)";
}

ExitStatus cli_graph(void)
{
        (void) printf(
                "digraph boot {\n"
                "        rankdir=LR;\n"
                "        node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n"
                "        label=\"blue: master only; dashed: needed where both are run; "
                "bold: can destroy data\";\n");
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                const Step *s = &boot_steps[i];
                const char *colour = s->runs_on & KIND_NODE ? "white" : "lightblue";
                (void) printf("        \"%s\" [label=\"%s%s\", tooltip=\"%s\", fillcolor=%s%s];\n",
                              s->name, s->name, runtime_of(s), s->makes_true, colour,
                              s->destroys_data ? ", penwidth=3" : "");
        }
        for (size_t i = 0; i < _BOOT_STEP_MAX; i++) {
                print_edges(&boot_steps[i]);
        }
        (void) printf("}\n");
        return EXIT_DONE;
}
