/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* The line with which a program most likely said why it does not run. dockerd, etcd and kubelet
 * write everything to standard error, at one priority of the journal, each in a form of its own; so
 * lines are told apart by their words. Pure: lines in, one line out. */

#define LAST_WORDS_MAX 256

typedef struct LastWords {
        char text[LAST_WORDS_MAX]; /* "" while there is nothing to quote */
        int rank;
        char run[40];
        unsigned n_runs;
} LastWords;

/* Takes the next older line. `run` tells the program's starts apart (systemd's invocation id). One
 * that is quoted loses what the log's own form adds, and whatever looks like a token, since more
 * people read it than the journal. Returns false once no older line can matter: words of an error
 * are looked for in the last run, and in the one before where the last has only begun. */
bool last_words_add(LastWords *words, const char *run, const char *line);
