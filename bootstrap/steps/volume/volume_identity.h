/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cluster/lineage.h"
#include "steps/boot.h"

/* What the master's volume says of itself: cluster-identity.json, and whether etcd's data is there.
 */
typedef struct VolumeIdentity {
        bool exists;
        bool etcd_member;
        LineageIdentity identity; /* where it exists */
} VolumeIdentity;

/* Reads the volume's identity. -ENOENT (ERROR_RETRY) if the volume is not mounted. *ret must be
 * zero. */
int volume_identity_look(VolumeIdentity *ret, Error *err);

/* Replaces cluster-identity.json. */
int volume_identity_write(const LineageIdentity *identity, Error *err);
