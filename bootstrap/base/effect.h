/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every effect on the outside is announced here, before and after it happens: HTTP requests,
 * children, mounts, files, addresses, bus calls (test/gates/test_effects.py checks that none is
 * forgotten). In a normal build this is nothing. A build with EFFECT_POINTS numbers the
 * announcements, appends them to the file named by KUBE_BOOTSTRAP_EFFECTS_LOG, and kills the
 * process with SIGKILL at the one that KUBE_BOOTSTRAP_EFFECTS_KILL names, so that a test can stop
 * the daemon at each: "before:2:http ec2 Describe" is the second whose kind and text begin so,
 * "after:12:" the twelfth of all. Steps run side by side, so only names are the same from run to
 * run. */

#ifdef EFFECT_POINTS
unsigned effect_before(const char *kind, const char *what);
void effect_after(unsigned number, const char *kind, const char *what);
#else
static inline unsigned effect_before(const char *kind, const char *what)
{
        (void) kind;
        (void) what;
        return 0;
}

static inline void effect_after(unsigned number, const char *kind, const char *what)
{
        (void) number;
        (void) kind;
        (void) what;
}
#endif
