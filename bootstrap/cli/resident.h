/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/converge.h"

/* Converges, stays, looks again now and then, and mends. Returns only with a failure, or -ECANCELED
 * once it was asked to end. */
int resident_run(Run *run, Error *err);
