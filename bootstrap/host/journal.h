/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "host/last_words.h"

/* Reading the journal of this boot (sd-journal): what a unit said, and what systemd said of it. */

/* A unit's line; `run` is the invocation id of the start that it belongs to. False: no more. */
typedef bool JournalVisit(const char *run, const char *line, void *userdata);

/* Visits the unit's lines, the newest first, at most JOURNAL_LINES_MAX. */
#define JOURNAL_LINES_MAX 2000
int journal_read_back(const char *unit, JournalVisit *visit, void *userdata, Error *err);

/* The line with which the unit said why it does not run; "" if there is none, or no journal. */
void journal_last_words(const char *unit, char ret[LAST_WORDS_MAX]);

/* Adds to the error of a unit that does not run its last words, and the command that shows more;
 * returns as error_prefix() does. */
int journal_explain(const char *unit, Error *err);
