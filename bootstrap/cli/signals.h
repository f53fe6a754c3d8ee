/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Signals as descriptors. Blocked for all threads made later; children get their own mask back
 * (host/process). */
typedef struct Signals {
        int stop_fd; /* SIGTERM, SIGINT; and where no reload is wanted SIGHUP, the terminal's end */
        int reload_fd; /* SIGHUP; -EBADF where none is wanted */
} Signals;

#define SIGNALS_INIT ((Signals) { .stop_fd = -EBADF, .reload_fd = -EBADF })

int signals_open(bool reload, Signals *ret, Error *err);

/* Whether SIGHUP came since the last call. */
bool signals_take_reload(const Signals *signals);

void signals_done(Signals *signals);
#define _cleanup_signals_ _cleanup_(signals_done)
