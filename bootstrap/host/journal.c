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
        int n = snprintf(text, sizeof(text), "%s=%s", field, value); /* a unit's name has 255 */
        return sd_journal_add_match(journal, text, (size_t) n);
}

/* (what the unit wrote, or systemd of it with a priority of its own), and in this boot */
static int match_unit(sd_journal *journal, const char *unit)
{
        char boot[SD_ID128_STRING_MAX];
        sd_id128_t id;
        int r = sd_id128_get_boot(&id);
        r = r < 0 ? r : match(journal, "_SYSTEMD_UNIT", unit);
        r = r < 0 ? r : sd_journal_add_disjunction(journal);
        r = r < 0 ? r : match(journal, "UNIT", unit);
        r = r < 0 ? r : match(journal, "_PID", "1");
        r = r < 0 ? r : match(journal, "PRIORITY", "3");
        r = r < 0 ? r : sd_journal_add_conjunction(journal);
        return r < 0 ? r : match(journal, "_BOOT_ID", sd_id128_to_string(id, boot));
}

/* The entry's field, cut to fit; "" where it has none. */
static void read_field(sd_journal *journal, const char *field, char *ret, size_t size)
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
                read_field(journal, "MESSAGE", line, sizeof(line));
                read_field(journal, "_SYSTEMD_INVOCATION_ID", run, sizeof(run));
                if (run[0] == '\0') { /* systemd's word of the unit */
                        read_field(journal, "INVOCATION_ID", run, sizeof(run));
                }
                if (!visit(run, line, userdata)) {
                        break;
                }
        }
        return r < 0 ? r : 0;
}

int journal_read_back(const char *unit, JournalVisit *visit, void *userdata, Error *err)
{
        _cleanup_(sd_journal_closep) sd_journal *journal = NULL;
        int r = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY);
        r = r < 0 ? r : sd_journal_set_data_threshold(journal, LINE_MAX_BYTES);
        r = r < 0 ? r : match_unit(journal, unit);
        r = r < 0 ? r : visit_entries(journal, visit, userdata);
        return r < 0 ? error_errno(err, r, "read the journal of %s", unit) : 0;
}

static bool add_words(const char *run, const char *line, void *userdata)
{
        return last_words_add(userdata, run, line);
}

void journal_last_words(const char *unit, char ret[LAST_WORDS_MAX])
{
        LastWords words = {};
        (void) journal_read_back(unit, add_words, &words, NULL); /* "" where it cannot be read */
        memcpy(ret, words.text, LAST_WORDS_MAX);
}

int journal_explain(const char *unit, Error *err)
{
        char words[LAST_WORDS_MAX];
        const char *dot = strrchr(unit, '.');
        int n = dot && streq(dot, ".service") ? (int) (dot - unit) : (int) strlen(unit);
        journal_last_words(unit, words);
        return error_suffix(err, "%s%s%s; see journalctl -u %.*s", words[0] ? "; it said \"" : "",
                            words, words[0] ? "\"" : "", n, unit);
}
