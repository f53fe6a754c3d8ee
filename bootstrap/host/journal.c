/* SPDX-License-Identifier: Apache-2.0 */
#include "host/journal.h"

#include <stdio.h>
#include <systemd/sd-journal.h>

#include "base/cleanup.h"
#include "base/string.h"

#define LINE_MAX_BYTES 2048

static int match(sd_journal *journal, const char *field, const char *value)
{
        char text[300];
        int n = snprintf(text, sizeof(text), "%s=%s", field, value); /* unit names: 255 at most */
        return sd_journal_add_match(journal, text, (size_t) n);
}

/* Matches systemd's own messages about the unit, of priority 3 (error). */
static int match_manager(sd_journal *journal, const char *unit)
{
        int r = match(journal, "UNIT", unit);
        if (r < 0) {
                return r;
        }
        r = match(journal, "_PID", "1");
        if (r < 0) {
                return r;
        }
        return match(journal, "PRIORITY", "3");
}

/* Matches, in this boot, the unit's messages and systemd's errors about the unit. */
static int match_unit(sd_journal *journal, const char *unit)
{
        char boot[SD_ID128_STRING_MAX];
        sd_id128_t id;
        int r = sd_id128_get_boot(&id);
        if (r < 0) {
                return r;
        }
        r = match(journal, "_SYSTEMD_UNIT", unit);
        if (r < 0) {
                return r;
        }
        r = sd_journal_add_disjunction(journal);
        if (r < 0) {
                return r;
        }
        r = match_manager(journal, unit);
        if (r < 0) {
                return r;
        }
        r = sd_journal_add_conjunction(journal);
        if (r < 0) {
                return r;
        }
        return match(journal, "_BOOT_ID", sd_id128_to_string(id, boot));
}

/* Copies the entry's field, cut to fit; "" if the entry does not have it. */
static void journal_read_field(sd_journal *journal, const char *field, char *ret, size_t size)
{
        const void *data = NULL;
        size_t n = 0, name = strlen(field) + 1;
        ret[0] = '\0';
        if (sd_journal_get_data(journal, field, &data, &n) >= 0 && n >= name) {
                (void) snprintf(ret, size, "%.*s", (int) (n - name), (const char *) data + name);
        }
}

static int visit_entries(sd_journal *journal, JournalVisit *visit, void *userdata)
{
        char line[LINE_MAX_BYTES], run[40];
        int r = sd_journal_seek_tail(journal);
        for (unsigned i = 0; r >= 0 && i < JOURNAL_LINES_MAX; i++) {
                r = sd_journal_previous(journal);
                if (r <= 0) {
                        break;
                }
                journal_read_field(journal, "MESSAGE", line, sizeof(line));
                journal_read_field(journal, "_SYSTEMD_INVOCATION_ID", run, sizeof(run));
                if (run[0] == '\0') { /* a message of systemd about the unit */
                        journal_read_field(journal, "INVOCATION_ID", run, sizeof(run));
                }
                if (!visit(run, line, userdata)) {
                        break;
                }
        }
        return r < 0 ? r : 0;
}

static int journal_read_entries(const char *unit, JournalVisit *visit, void *userdata)
{
        _cleanup_(sd_journal_closep) sd_journal *journal = NULL;
        int r = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY);
        if (r < 0) {
                return r;
        }
        r = sd_journal_set_data_threshold(journal, LINE_MAX_BYTES);
        if (r < 0) {
                return r;
        }
        r = match_unit(journal, unit);
        if (r < 0) {
                return r;
        }
        return visit_entries(journal, visit, userdata);
}

int journal_read_back(const char *unit, JournalVisit *visit, void *userdata, Error *err)
{
        int r = journal_read_entries(unit, visit, userdata);
        return r < 0 ? error_errno(err, r, "read the journal of %s", unit) : 0;
}

static bool add_words(const char *run, const char *line, void *userdata)
{
        return last_words_add(userdata, run, line);
}

void journal_last_words(const char *unit, char ret[LAST_WORDS_MAX])
{
        LastWords words = {};
        (void) journal_read_back(unit, add_words, &words,
                                 ERROR_IGNORED); /* "" where it cannot be read */
        memcpy(ret, words.text, LAST_WORDS_MAX);
}

int journal_explain(const char *unit, Error *err)
{
        char words[LAST_WORDS_MAX];
        const char *dot = strrchr(unit, '.');
        int n = dot && streq(dot, ".service") ? (int) (dot - unit) : (int) strlen(unit);
        journal_last_words(unit, words);
        if (!words[0]) {
                return error_suffix(err, "; see journalctl -u %.*s", n, unit);
        }
        return error_suffix(err, "; it said \"%s\"; see journalctl -u %.*s", words, n, unit);
}
