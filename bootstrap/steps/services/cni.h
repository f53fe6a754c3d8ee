/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "steps/boot.h"

/* The folder from which containerd reads the pods' network, as its configuration names it
 * (conf/containerd). On a tmpfs, so that after a reboot no pod starts before the overlay is there.
 */
#define CNI_FOLDER RUNTIME_FOLDER "/cni"
