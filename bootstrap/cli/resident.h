/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/converge.h"

/* Runs the table, stays, probes again now and then, and repairs. Returns only with a failure, or
 * with -ECANCELED when the daemon is asked to end. */
int resident_run(Run *run, Error *err);
