/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "engine/state_file.h"
#include "steps/boot.h"

/* A folder in place of RUNTIME_FOLDER, for tests. */
#define RUNTIME_FOLDER_VARIABLE "KUBE_BOOTSTRAP_RUNTIME_FOLDER"

/* The paths of the files in which runs leave information for each other and for people. */
typedef struct Runtime {
        char folder[200];
        char state[224]; /* state.json */
        char lock[224];
        char boot_id[64]; /* of this boot of the machine; "" if the kernel does not say */
} Runtime;

/* Fills in the paths; makes nothing. */
int runtime_init(Runtime *ret, Error *err);

/* Makes the folder, with mode 0755. */
int runtime_make_folder(const Runtime *runtime, Error *err);

/* Returns true if there is a process of that pid; there is none of pid 0. */
bool runtime_is_alive(int pid);

/* Returns true if no process is left that keeps the state up to date. A failed state needs none,
 * because the failure is the end of its process. */
bool runtime_is_abandoned(const StateFile *state);

/* Reads the state file. A file from an earlier boot of the machine counts as missing (-ENOENT),
 * though /run does not outlive a boot. */
int runtime_read_state(const Runtime *runtime, StateFile *ret, Error *err);
