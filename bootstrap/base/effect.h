/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Every effect on the outside is announced here, before and after it happens: HTTP requests,
 * children, mounts, files, addresses, bus calls (test/gates/test_effects.py checks that none is
 * forgotten, and that each is told the end of). Where debugging is on (log_set_max_priority()), the
 * journal gets a line for each, with its result and how long it took. */

typedef struct Effect {
        const char *kind, *what; /* the caller's, which keeps them until effect_after() */
        uint64_t began_us;       /* CLOCK_MONOTONIC; 0: nobody traces */
        unsigned number;         /* with EFFECT_POINTS, below */
} Effect;

/* Announces an effect that is about to happen. kind is a word, such as "http"; what names the
 * object and never holds a secret: both are logged. */
Effect effect_before(const char *kind, const char *what);

/* Announces its end, good or bad. r is -errno where it failed. result may say more, such as "HTTP
 * status 404"; NULL: what r says. */
void effect_after(const Effect *effect, int r, const char *result);

/* A build with EFFECT_POINTS also numbers the announcements, appends them to the file named by
 * KUBE_BOOTSTRAP_EFFECTS_LOG, and kills the process with SIGKILL at the one that
 * KUBE_BOOTSTRAP_EFFECTS_KILL names, so that a test can stop the daemon at each: "before:2:http ec2
 * Describe" is the second whose kind and text begin so, "after:12:" the twelfth of all. Steps run
 * side by side, so only names are the same from run to run. */
