/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/stack_config.h"

/* One line of stack-config.sh against the table of keys. */

#define KEY_NAME_MAX 64

/* Appends what is wrong with the value, as the end of a sentence about it ("expected …"), and
 * nothing if it fits the key's type. 0, or -ENOMEM. */
int key_check_value(const ConfigKey *key, const char *value, Buffer *problem);

/* The key that was meant by a name that is none: the nearest by letters, or NULL if none is near.
 */
const ConfigKey *key_meant_by(const char *name);
