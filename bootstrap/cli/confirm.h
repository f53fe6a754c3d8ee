/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "steps/boot.h"

/* What only a person may decide: on a terminal only, and the master volume's id has to be typed. 0
 * also where nothing of the kind was asked for; -EPROTO where there is no terminal or the answer is
 * another; ERROR_CONFIG where stack-config.sh does not tell the volume. */
int confirm_overrides(const BootOverrides *overrides, Error *err);
