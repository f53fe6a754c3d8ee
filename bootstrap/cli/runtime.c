/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/runtime.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "steps/boot.h"

int runtime_init(Runtime *ret, Error *err)
{
        const char *folder = getenv(RUNTIME_FOLDER_VARIABLE);
        if (isempty(folder)) {
                folder = RUNTIME_FOLDER;
        }
        Runtime r = {};
        if (folder[0] != '/' || strlen(folder) >= sizeof(r.folder)) {
                return error_set(err, ERROR_CONFIG, EINVAL, "%s=%.64s: expected an absolute path",
                                 RUNTIME_FOLDER_VARIABLE, folder);
        }
        (void) snprintf(r.folder, sizeof(r.folder), "%s", folder);
        (void) snprintf(r.state, sizeof(r.state), "%s/state.json", folder);
        (void) snprintf(r.lock, sizeof(r.lock), "%s/lock", folder);
        _cleanup_free_ char *boot_id = NULL;
        if (file_read_line("/proc/sys/kernel/random/boot_id", &boot_id) >= 0) {
                (void) snprintf(r.boot_id, sizeof(r.boot_id), "%s", boot_id);
        }
        *ret = r;
        return 0;
}

int runtime_make_folder(const Runtime *runtime, Error *err)
{
        return file_make_directory(runtime->folder, 0755, err);
}

bool runtime_is_alive(int pid)
{
        return pid > 0 && (kill(pid, 0) == 0 || errno != ESRCH);
}

bool runtime_is_abandoned(const StateFile *state)
{
        return state->pid > 0 && state->status.phase != PHASE_FAILED &&
               !runtime_is_alive(state->pid) && !runtime_is_alive(state->daemon);
}

int runtime_read_state(const Runtime *runtime, StateFile *ret, Error *err)
{
        int r = state_file_read(runtime->state, boot_steps, _BOOT_STEP_MAX, ret, err);
        if (r >= 0 && !streq(ret->boot_id, runtime->boot_id)) {
                *ret = (StateFile) {};
                return error_set(err, ERROR_CONFIG, ENOENT, "%s is of an earlier boot",
                                 runtime->state);
        }
        return r;
}
