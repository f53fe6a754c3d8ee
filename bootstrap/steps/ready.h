/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/boot.h"

/* Returns 1 if this machine's Node is Ready, and its kubelet was heard of lately; else 0, after
 * saying what is waited for. */
int ready_look_at_node(const Boot *boot, StepContext *context, Error *err);
