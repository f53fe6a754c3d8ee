/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/args.h"
#include "cli/exit_status.h"

ExitStatus cli_run(const Arguments *arguments);
