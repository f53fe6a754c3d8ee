/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* Finds the line in which a program most likely says why it does not run. dockerd, etcd and kubelet
 * write everything to standard error, so all lines have one priority in the journal, and each
 * program has its own format. So each line is judged by its words. Pure: lines in, one line out. */

#define LAST_WORDS_MAX 256

typedef struct LastWords {
        char text[LAST_WORDS_MAX]; /* "" while there is nothing to quote */
        int rank;
        char run[40];
        unsigned n_runs;
} LastWords;

/* Takes the next older line. `run` tells the program's starts apart (systemd's invocation id). A
 * quoted line loses what the log's format adds, and everything that looks like a token, because
 * more people read the quote than the journal. Returns false once no older line can matter: errors
 * are searched for in the last run, and in the run before it if the last one has none (it may have
 * only begun). */
bool last_words_add(LastWords *words, const char *run, const char *line);
