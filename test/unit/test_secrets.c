/* SPDX-License-Identifier: Apache-2.0 */

/* The secrets step alone, run by the engine as on an instance, against the simulated region. It is
 * the program that test/integration/secrets_step runs, in a mount namespace for each machine:
 *
 *     test_secrets CONFIG SECONDS [--new-cluster|--new-keys|--takeover|--plan]…
 *
 * prints how it ended (with --plan: why there is something to do), and exits with 0 or 1. Without
 * arguments there is nothing to test. */

#include <stdlib.h>

#include "base/file.h"
#include "engine/machine.h"
#include "harness.h"
#include "host/http.h"
#include "steps/secrets/secrets_internal.h"

static const char *config_path;
static MachineMode mode = MACHINE_CONVERGE;

static int read_config(void *userdata, StepContext *context, Error *err)
{
        (void) context;
        Boot *boot = userdata;
        int r = boot->config_known ? 0 : stack_config_load(config_path, &boot->config, NULL, err);
        if (r < 0) {
                return r;
        }
        boot->config_known = true;
        return 1;
}

static const char *set_override(BootOverrides *overrides, const char *flag)
{
        if (streq(flag, "--new-cluster")) {
                overrides->new_cluster = true;
        } else if (streq(flag, "--new-keys")) {
                overrides->new_keys = true;
        } else if (streq(flag, "--takeover")) {
                overrides->takeover = true;
        } else if (streq(flag, "--plan")) {
                mode = MACHINE_PLAN;
        } else {
                return "unknown flag";
        }
        return NULL;
}

/* Prints the cluster and the generation of what is installed. */
static int tell(bool applied, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        _cleanup_(artifacts_index_done) ArtifactsIndex index = {};
        int r = file_read(SECRETS_INDEX_FILE, ARTIFACTS_INDEX_BYTES_MAX, &text, err);
        if (r >= 0) {
                r = artifacts_index_parse(text.data, text.size, &index, err);
        }
        if (r < 0) {
                printf("%s\n", err->message);
                return EXIT_FAILURE;
        }
        printf("%s %s %s\n", applied ? "applied" : "already", index.cluster_id, index.generation);
        return EXIT_SUCCESS;
}

/* The table's own rows, but for what they need on a whole machine. */
static int run(Boot *boot, unsigned seconds)
{
        Step steps[] = { boot_steps[BOOT_CONFIG], boot_steps[BOOT_IDENTITY],
                         boot_steps[BOOT_SECRETS] };
        steps[0].probe = read_config;
        steps[1].needs = STEP_MASK(0);
        steps[2].needs = STEP_MASK(1);
        steps[2].deadline_s = seconds;
        const MachineOptions options = {
                .steps = steps,
                .n_steps = ELEMENTS(steps),
                .userdata = boot,
                .kind = boot_kind,
                .all_kinds = KIND_ALL,
                .mode = mode,
                .stop_fd = -1,
        };
        Error err = {};
        MachineStatus status;
        int r = machine_run(&options, &status, &err);
        if (status.steps[2].warning[0]) {
                printf("warning: %s\n", status.steps[2].warning);
        }
        if (r < 0) {
                printf("%s: %s\n", error_class_to_string(err.class), err.message);
                return EXIT_FAILURE;
        }
        if (mode == MACHINE_PLAN) {
                printf("%s\n", status.steps[2].reason);
                return EXIT_SUCCESS;
        }
        return tell(status.steps[2].attempts > 0, &err);
}

int main(int argc, char **argv)
{
        if (argc < 3 || argv[1][0] == '-') {
                test_skip("the secrets step", "test/integration/secrets_step runs it");
                return test_done();
        }
        Error err = {};
        Boot boot = {};
        uint64_t seconds = 0;
        const char *wrong = string_parse_u64(argv[2], 600, &seconds) < 0 ? "not a number" : NULL;
        for (int i = 3; i < argc && !wrong; i++) {
                wrong = set_override(&boot.overrides, argv[i]);
        }
        if (wrong || http_init(&err) < 0) {
                printf("%s\n", wrong ? wrong : err.message);
                return EXIT_FAILURE;
        }
        config_path = argv[1];
        int result = run(&boot, (unsigned) seconds);
        boot_done(&boot);
        http_done();
        return result;
}
