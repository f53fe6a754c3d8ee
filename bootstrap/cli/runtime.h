/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "engine/state_file.h"
#include "steps/boot.h"

/* A folder in place of RUNTIME_FOLDER, for tests. */
#define RUNTIME_FOLDER_VARIABLE "KUBE_BOOTSTRAP_RUNTIME_FOLDER"

/* Where runs leave word for each other and for people. */
typedef struct Runtime {
        char folder[200];
        char state[224]; /* state.json */
        char lock[224];
        char boot_id[64]; /* of this boot of the machine; "" if the kernel does not say */
} Runtime;

/* Only names; makes nothing. */
int runtime_init(Runtime *ret, Error *err);

/* The folder, 0755. */
int runtime_make_folder(const Runtime *runtime, Error *err);

/* Returns true if there is a process of that pid; there is none of pid 0. */
bool runtime_is_alive(int pid);

/* Returns true if no process is left that would find out what changes. A failure is told by its
 * end.
 */
bool runtime_is_abandoned(const StateFile *state);

/* The state file as far as it can be believed: one from an earlier boot of the machine counts as
 * missing (-ENOENT), though /run does not outlive a boot. */
int runtime_read_state(const Runtime *runtime, StateFile *ret, Error *err);
