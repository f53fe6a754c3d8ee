/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/boot.h"

/* The pods' bridge, which has the first address of this machine's part of the overlay.
 *
 * It is not docker0, and not made by docker: whenever docker-bootstrap starts, its dockerd deletes
 * a bridge named docker0, because it is configured to have none (removeDefaultBridgeInterface() in
 * moby's daemon_unix.go). */
#define POD_BRIDGE "cbr0"

/* Returns 1 if the bridge has the overlay's address; 0, with the reason, if it has another address
 * or none, or there is no bridge. */
int bridge_probe(const Boot *boot, StepContext *context, Error *err);

/* Makes the bridge, or gives an old one the overlay's address in place of its own. The containers
 * on an old one stay connected, because some may have addresses of the overlay's subnet. Returns 1
 * if the old one had another address and has containers, else 0. */
int bridge_make(const Boot *boot, Error *err);
