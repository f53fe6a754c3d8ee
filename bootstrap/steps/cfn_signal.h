/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/boot.h"

/* Tells the CloudFormation stack that launched this instance how that ended: ready, or failed. Also
 * where the boot has got nowhere: what it needs of IMDS it then asks for itself, and the stack's
 * name it takes from a stack-config.sh that is no good otherwise. Not while the table is run.
 *
 * 1: told. 0: no stack is named. -EALREADY: the stack does not want to know (any more), by its own
 * word; there is nothing else to know that by, so a later run asks it again. Else as any call of
 * AWS. */
int cfn_signal_send(Boot *boot, bool ready, const Wait *wait, Error *err);
