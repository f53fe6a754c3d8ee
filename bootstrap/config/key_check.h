/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/stack_config.h"

/* Checks one line of stack-config.sh against the table of keys. */

#define KEY_NAME_MAX 64

/* Appends what is wrong with the value, as the end of a sentence about it ("expected …"), or
 * nothing if it fits the key's type. Returns 0, or -ENOMEM. */
int key_check_value(const ConfigKey *key, const char *value, Buffer *problem);

/* Returns the key that was probably meant by an unknown name: the nearest by letters, or NULL if
 * none is near. */
const ConfigKey *key_meant_by(const char *name);
