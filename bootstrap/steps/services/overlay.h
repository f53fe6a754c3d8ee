/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cluster/overlay.h"
#include "host/container.h"
#include "steps/boot.h"

/* flanneld and what it makes, whichever way it leases its subnet: the container of
 * docker-bootstrap, SUBNET_ENV, and the kernel's routes and neighbours for the leases of the other
 * machines. */

/* The result of a look at all leases: those that the kernel does not match. */
typedef struct OverlayLook OverlayLook;

/* Notes whether the kernel matches one machine's lease. Returns 0, or negative if the kernel cannot
 * be asked. */
int overlay_look_at(OverlayLook *look, const OverlayLease *lease, Error *err);

/* Notes that something is wrong with the lease of this network. */
void overlay_miss(OverlayLook *look, struct in_addr network, unsigned prefix, const char *why);

/* Calls overlay_look_at() for the lease of each machine, this one's too. */
typedef int OverlayLeases(const Boot *boot, StepContext *context, OverlayLook *look, Error *err);

/* The probe and the apply of a row that runs flanneld as this container. The probe fills the
 * overlay's facts of *boot. The apply restarts flanneld if a lease is not matched in time. */
int overlay_probe(Boot *boot, const Container *flanneld, OverlayLeases *leases,
                  StepContext *context, Error *err);
int overlay_apply(Boot *boot, const Container *flanneld, OverlayLeases *leases,
                  StepContext *context, Error *err);
