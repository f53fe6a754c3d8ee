/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "steps/boot.h"

/* Asks a person to confirm what only a person may decide. This needs a terminal, and the master
 * volume's id has to be typed. Returns 0 if it was confirmed, or if nothing of the kind was asked
 * for; -EPROTO if there is no terminal or the answer is another; ERROR_CONFIG if stack-config.sh is
 * wrong or the machine is no master. */
int confirm_overrides(const BootOverrides *overrides, Error *err);
