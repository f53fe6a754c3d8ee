/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/string.h"
#include "cli/run.h"
#include "cli/verbs.h"

static int protect(Error *err)
{
        /* workers mostly wait: more than two heaps would waste memory */
        (void) mallopt(M_ARENA_MAX, 2);
        /* otherwise glibc raises the threshold when a large block is freed (mallopt(3)), and the
         * next block of its size stays in a heap for good */
        (void) mallopt(M_MMAP_THRESHOLD, 128 << 10);
        json_wipe_freed();
        return secret_protect_process(err);
}

static ExitStatus dispatch(const Arguments *a)
{
        switch (a->verb) {
        case VERB_RUN:
                return cli_run(a);
        case VERB_STATUS:
                return cli_status(a);
        case VERB_PLAN:
                return cli_plan(a);
        case VERB_CHECK_CONFIG:
                return cli_check_config(a);
        case VERB_GRAPH:
                return cli_graph();
        case VERB_VERSION:
                (void) printf("kube-bootstrap %s\n", VERSION);
                return EXIT_DONE;
        default:
                help_print(stdout);
                return EXIT_DONE;
        }
}

/* Turns debug logging on if it is asked for: by --verbose, or, for the service, by
 * KUBE_BOOTSTRAP_LOG=debug in its environment. */
static void set_verbosity(const Arguments *a)
{
        const char *level = getenv("KUBE_BOOTSTRAP_LOG");
        if (a->verbose) {
                log_set_verbose();
        } else if (streq_ptr(level, "debug")) {
                log_set_max_priority(LOG_DEBUG);
        } else if (!isempty(level) && !streq(level, "info")) {
                (void) fprintf(stderr,
                               "kube-bootstrap: KUBE_BOOTSTRAP_LOG=%.64s: expected debug or info\n",
                               level);
        }
}

int cli_main(int argc, char *const *argv)
{
        Error error = {};
        Arguments arguments;
        if (protect(&error) < 0) {
                (void) fprintf(stderr, "kube-bootstrap: %s\n", error.message);
                return EXIT_FAILED;
        }
        if (arguments_parse(argc, argv, &arguments, &error) < 0) {
                (void) fprintf(stderr, "kube-bootstrap: %s\n", error.message);
                return EXIT_USAGE;
        }
        set_verbosity(&arguments);
        ExitStatus status = dispatch(&arguments);
        if (fflush(stdout) != 0 && status == EXIT_DONE) {
                return EXIT_FAILED; /* a full disk: the output is not complete */
        }
        return (int) status;
}
