/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/args.h"
#include "cli/exit_status.h"

/* The verbs besides run (cli/run.h), each in its file. They print to standard output, what is wrong
 * to standard error. */
ExitStatus cli_status(const Arguments *arguments);
ExitStatus cli_plan(const Arguments *arguments);
ExitStatus cli_check_config(const Arguments *arguments);
ExitStatus cli_graph(void);

/* Runs the whole program: parses the command line, runs the verb. Returns main()'s result. */
int cli_main(int argc, char *const *argv);
