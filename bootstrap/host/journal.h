/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "host/last_words.h"

/* Reads the journal of this boot (sd-journal): the messages of a unit, and systemd's about the
 * unit. */

/* Called with a line of a unit; `run` is the invocation id of the start that the line belongs to.
 * Returns false to stop. */
typedef bool JournalVisit(const char *run, const char *line, void *userdata);

/* Visits the unit's lines, the newest first, at most JOURNAL_LINES_MAX. */
#define JOURNAL_LINES_MAX 2000
int journal_read_back(const char *unit, JournalVisit *visit, void *userdata, Error *err);

/* Finds the line in which the unit says why it does not run; "" if there is none, or no journal. */
void journal_last_words(const char *unit, char ret[LAST_WORDS_MAX]);

/* Adds the unit's last words, and the command that shows more, to the error of a unit that does not
 * run. Returns as error_prefix() does. */
int journal_explain(const char *unit, Error *err);
