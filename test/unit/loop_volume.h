/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A volume that is a loop device, in a mount namespace of the test's own: needs root. */

#include <stdint.h>

#include "bucket_world.h"

#define MIB (UINT64_C(1) << 20)

extern char volume_id[32]; /* of this run alone: two disks that both say they are it are refused */
extern char image[128], loop[64];

bool command(Buffer *output, const char *const *argv);

#define COMMAND(output, ...) command((output), (const char *const[]) { __VA_ARGS__, NULL })

void detach(void);

/* A volume of so many MiB, all zero, attached, of which the bucket knows nothing. False: there are
 * no loop devices here. */
bool fresh(unsigned mib);

/* Whether volumes can be had here; called once, first. */
bool volumes_are_possible(void);
