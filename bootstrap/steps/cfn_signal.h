/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/boot.h"

/* Tells the CloudFormation stack that launched this instance how the launch ended: ready, or
 * failed. This works even if the boot failed early: the function asks IMDS itself for what it
 * needs, and takes the stack's name from a stack-config.sh that is otherwise invalid. Must not be
 * called while the table is run.
 *
 * Returns 1 if the stack was told, 0 if no stack is named, and -EALREADY if CloudFormation says
 * that the stack takes no such signal (any more). No other source tells this, so a later run asks
 * again. Other errors are as for any call of AWS. */
int cfn_signal_send(Boot *boot, bool ready, const Wait *wait, Error *err);
