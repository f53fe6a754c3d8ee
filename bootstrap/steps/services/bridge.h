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

/* Makes the bridge anew. Whatever was connected to an old one is not connected to this one. Returns
 * 1 if there was an old one, else 0. */
int bridge_make(const Boot *boot, Error *err);
