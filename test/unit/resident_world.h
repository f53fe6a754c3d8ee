/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `run --resident`, as systemd starts it, over the table of resident_table.h. */

#include "cli_world.h"

extern Program program, other;

/* Reads messages to systemd until one has `text`. Returns false if none has in test_patience(),
 * even if others come meanwhile. */
bool systemd_hears(const char *text);

void start(void);

int stop(void);

/* Listens where the program tells systemd how it goes: false where that cannot be. */
bool be_systemd(void);
