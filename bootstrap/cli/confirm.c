/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/confirm.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/string.h"
#include "cli/args.h"

static void print_consequences(const BootOverrides *o, FILE *out)
{
        const struct {
                bool asked;
                const char *text;
        } consequences[] = {
                { o->new_cluster, "--new-cluster: the secrets that the bucket holds of a cluster "
                                  "are given up; a new cluster begins on the empty volume." },
                { o->new_keys, "--new-keys: every certificate, token and kubeconfig is made again; "
                               "all machines must join again." },
                { o->force_detach, "--force-detach: the volume is taken from an instance that is "
                                   "not running; what it had not written is lost." },
                { o->takeover, "--takeover: the claim of an instance that no longer exists, for "
                               "another volume, is taken over." },
                { o->format_volume, "--format-volume: what is on the volume is lost, where nothing "
                                    "known is on it; a new filesystem is made." },
        };
        FOREACH_ARRAY(c, consequences, ELEMENTS(consequences)) {
                if (c->asked) {
                        (void) fprintf(out, "%s\n", c->text);
                }
        }
}

int confirm_overrides(const BootOverrides *overrides, Error *err)
{
        if (!overrides_any(overrides)) {
                return 0;
        }
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
                return error_set(err, ERROR_FATAL, EPROTO,
                                 "a person must confirm this: run the command on a terminal");
        }
        _cleanup_stack_config_ StackConfig config = {};
        int r = stack_config_load(STACK_CONFIG_PATH, &config, NULL, err);
        if (r < 0) {
                return r;
        }
        if (config.role != ROLE_MASTER) {
                return error_set(err, ERROR_CONFIG, EINVAL, "%s: this machine is no master",
                                 STACK_CONFIG_PATH);
        }
        print_consequences(overrides, stderr);
        (void) fprintf(stderr,
                       "This is about volume %s. Type its id to go on: ", config.master_volume_id);
        char answer[64];
        if (!fgets(answer, sizeof(answer), stdin) ||
            !streq(string_strip_end(answer), config.master_volume_id)) {
                return error_set(err, ERROR_FATAL, EPROTO, "not confirmed; nothing was done");
        }
        return 0;
}
