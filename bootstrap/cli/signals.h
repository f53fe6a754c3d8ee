/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Signals as descriptors. The signals are blocked for all threads made later; children get their
 * own mask back (host/process). */
typedef struct Signals {
        int stop_fd;   /* SIGTERM, SIGINT; without reload also SIGHUP (the terminal was closed) */
        int reload_fd; /* SIGHUP; -EBADF without reload */
} Signals;

#define SIGNALS_INIT ((Signals) { .stop_fd = -EBADF, .reload_fd = -EBADF })

int signals_open(bool reload, Signals *ret, Error *err);

/* Returns true if SIGHUP came since the last call. */
bool signals_take_reload(const Signals *signals);

void signals_done(Signals *signals);
#define _cleanup_signals_ _cleanup_(signals_done)
