/* SPDX-License-Identifier: Apache-2.0 */
#include "host/last_words.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/string.h"

enum {
        RANK_NOISE, /* of a stack trace */
        RANK_LINE,
        RANK_ERROR,
        RANK_END, /* the program says that it ends */
};

static bool begins(const char *line, const char *const *beginnings, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (strncasecmp(line, beginnings[i], strlen(beginnings[i])) == 0) {
                        return true;
                }
        }
        return false;
}

/* Returns the severity of a klog line, or 0: 'E' for "E1129 14:06:19.270293   1234 server.go:269]
 * message". https://github.com/kubernetes/klog */
static char klog_severity(const char *line)
{
        for (size_t i = 1; i <= 4; i++) {
                if (!isdigit((unsigned char) line[i])) {
                        return 0;
                }
        }
        return line[5] == ' ' && strstr(line, "] ") && strchr("IWEF", line[0]) ? line[0] : 0;
}

/* Returns the severity of a line in etcd's format until 3.5, or 0: 'C' for "2026-11-29
 * 14:08:21.879290 C | etcdmain: message". */
static char capnslog_severity(const char *line)
{
        const char *bar = strstr(line, " | ");
        return isdigit((unsigned char) line[0]) && bar && bar - line > 20 && bar - line < 40
                       ? bar[-1]
                       : 0;
}

static bool has_level(const char *line, const char *level)
{
        char logfmt[32], json[32];
        (void) snprintf(logfmt, sizeof(logfmt), " level=%s ", level);
        (void) snprintf(json, sizeof(json), "\"level\":\"%s\"", level);
        return strstr(line, logfmt) || strstr(line, json);
}

static int rank_of(const char *line)
{
        static const char *const noise[] = { "\t",       "goroutine ", "created by ", "[signal ",
                                             "runtime.", "rip ",       "rflags " },
                                 *const ends[] = { "panic: ", "fatal error: ",
                                                   "failed to start daemon",
                                                   "unable to configure the Docker daemon" },
                                 *const errors[] = { "error", "failed", "unable to", "cannot",
                                                     "fatal" };
        /* systemd's own: the first is the outcome, the second a reason, such as a missing file */
        const char outcome[] = "Failed to start ", reason[] = ".service: Failed to ";
        char klog = line[0] ? klog_severity(line) : 0, capnslog = capnslog_severity(line);
        if (line[0] == '\0' || begins(line, noise, ELEMENTS(noise)) ||
            string_starts_with(line, outcome)) {
                return RANK_NOISE;
        }
        if (klog == 'F' || capnslog == 'C' || has_level(line, "fatal") ||
            has_level(line, "panic") || begins(line, ends, ELEMENTS(ends))) {
                return RANK_END;
        }
        bool error = klog == 'E' || capnslog == 'E' || has_level(line, "error") ||
                     begins(line, errors, ELEMENTS(errors)) || strstr(line, reason);
        return error ? RANK_ERROR : RANK_LINE;
}

/* Copies the value of a logfmt key, 'msg="…"', without its quoting. Returns false if there is
 * none. */
static bool logfmt_value(const char *line, const char *key, char *ret, size_t size)
{
        const char *at = strstr(line, key);
        size_t n = 0;
        for (at = at ? at + strlen(key) : NULL; at && *at && *at != '"' && n + 1 < size; at++) {
                at += *at == '\\' && at[1];
                ret[n++] = *at;
        }
        ret[n] = '\0';
        return n > 0;
}

/* Returns the line's message, without the time, the place in the source and the like. */
static void message_of(const char *line, char ret[LAST_WORDS_MAX])
{
        char message[LAST_WORDS_MAX] = "", error[LAST_WORDS_MAX] = "";
        const char *rest = line;
        json_auto_t *json = line[0] == '{' ? json_loads(line, 0, NULL) : NULL;
        const char *msg = json_string_value(json_object_get(json, "msg"));
        if (msg) {
                const char *why = json_string_value(json_object_get(json, "error"));
                (void) snprintf(message, sizeof(message), "%s", msg);
                (void) snprintf(error, sizeof(error), "%s", strempty(why));
        } else if (logfmt_value(line, " msg=\"", message, sizeof(message))) {
                (void) logfmt_value(line, " error=\"", error, sizeof(error));
        } else if (klog_severity(line)) {
                rest = strstr(line, "] ") + 2;
        } else if (capnslog_severity(line)) {
                rest = strstr(line, " | ") + 3;
        }
        const char *words = message[0] ? message : rest;
        (void) snprintf(ret, LAST_WORDS_MAX, "%s%s%s", words, error[0] ? ": " : "", error);
}

/* Returns true for a bootstrap token (abcdef.0123456789abcdef), a JWT, or any text as long as a key
 * that is no path, no word and no host name. Container ids match too. */
static bool is_secret(const char *word, size_t n)
{
        size_t digits = 0, letters = 0, dots = 0;
        for (size_t i = 0; i < n; i++) {
                digits += isdigit((unsigned char) word[i]) != 0;
                letters += isalpha((unsigned char) word[i]) != 0;
                dots += word[i] == '.';
        }
        bool token = n == 23 && word[6] == '.' && !memchr(word + 7, '.', 16);
        return (token || (n >= 40 && dots < 3)) && digits > 2 && letters > 2;
}

static void mask(char *text)
{
        for (char *at = text; *at;) {
                size_t n = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789+_.=-");
                if (is_secret(at, n)) {
                        memset(at, '*', n);
                }
                at += n ? n : 1;
        }
}

bool last_words_add(LastWords *words, const char *run, const char *line)
{
        if (words->n_runs == 0 || !streq(words->run, run)) {
                if (words->rank >= RANK_ERROR || words->n_runs == 2) {
                        return false;
                }
                (void) snprintf(words->run, sizeof(words->run), "%s", run);
                words->n_runs++;
        }
        int rank = rank_of(line);
        if (rank <= words->rank) {
                return true;
        }
        words->rank = rank;
        message_of(line, words->text);
        mask(words->text);
        for (char *c = words->text; *c; c++) {
                *c = (unsigned char) *c < ' ' || *c == 0x7f ? ' ' : *c;
        }
        return rank < RANK_END;
}
