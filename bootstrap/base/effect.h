/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Every effect on the outside is announced here before and after it happens: HTTP requests,
 * children, mounts, files, addresses, bus calls. test/gates/test_effects.py checks that no effect
 * is without an announcement, and that every announcement has an end. With debug logging on
 * (log_set_max_priority()), the journal gets a line for each effect, with its result and its
 * duration. */

typedef struct Effect {
        const char *kind, *what; /* the caller keeps them until effect_after() */
        uint64_t began_us;       /* CLOCK_MONOTONIC; 0: debug logging is off */
        unsigned number;         /* with EFFECT_POINTS, below */
} Effect;

/* Announces an effect that is about to happen. `kind` is one word, such as "http". `what` names the
 * object. Both are logged, so they must not hold a secret. */
Effect effect_before(const char *kind, const char *what);

/* Announces the end of the effect. r is -errno if the effect failed. `result` is the text to log,
 * such as "HTTP status 404"; with NULL it follows from r. */
void effect_after(const Effect *effect, int r, const char *result);

/* A build with EFFECT_POINTS also numbers the announcements, appends them to the file named by
 * KUBE_BOOTSTRAP_EFFECTS_LOG, and kills the process with SIGKILL at the announcement that
 * KUBE_BOOTSTRAP_EFFECTS_KILL names. So a test can stop the daemon at each effect: "before:2:http
 * ec2 Describe" is the second effect whose kind and text begin with these words, "after:12:" is the
 * twelfth effect of all. Steps run at the same time, so the numbers differ from run to run, but the
 * names do not. */
