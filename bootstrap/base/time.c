/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/string.h"

/* Returns true if the text begins as the pattern says: 0 is a digit, anything else itself. */
static bool begins_as(const char *text, const char *pattern)
{
        for (; *pattern; pattern++, text++) {
                if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern) {
                        return false;
                }
        }
        return true;
}

/* Reads ".5Z" or "Z" to its end. */
static int parse_fraction(const char *text, long *ret_ns)
{
        long ns = 0, unit = 100000000;
        const char *digits = text + (*text == '.');
        size_t n = strspn(digits, "0123456789");
        if (!streq(digits + n, "Z") || n > 9 || (n > 0) != (*text == '.')) {
                return -EINVAL;
        }
        for (size_t i = 0; i < n; i++, unit /= 10) {
                ns += (digits[i] - '0') * unit;
        }
        *ret_ns = ns;
        return 0;
}

int time_parse(const char *text, struct timespec *ret)
{
        static const char pattern[] = "0000-00-00T00:00:00";
        struct tm tm = {}, again;
        long ns = 0;
        if (!text || !begins_as(text, pattern) ||
            sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6 ||
            tm.tm_year < 1970 || parse_fraction(text + strlen(pattern), &ns) < 0) {
                return -EINVAL;
        }
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        again = tm;
        time_t seconds =
                timegm(&again); /* which makes the first of March of the 30th of February */
        if (again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday ||
            again.tm_hour != tm.tm_hour || again.tm_min != tm.tm_min || again.tm_sec != tm.tm_sec) {
                return -EINVAL;
        }
        *ret = (struct timespec) { .tv_sec = seconds, .tv_nsec = ns };
        return 0;
}

void time_format(time_t seconds, char ret[TIME_TEXT_MAX])
{
        struct tm tm;
        if (!gmtime_r(&seconds, &tm) ||
            strftime(ret, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
                ret[0] = '\0';
        }
}

void time_format_us(uint64_t us, char ret[TIME_TEXT_MAX])
{
        char text[TIME_TEXT_MAX];
        time_format((time_t) (us / 1000000), text);
        ret[0] = '\0';
        if (text[0]) { /* the fraction comes before the Z */
                (void) snprintf(ret, TIME_TEXT_MAX, "%.*s.%06uZ", (int) strlen(text) - 1, text,
                                (unsigned) (us % 1000000));
        }
}

void time_format_basic(time_t seconds, char ret[TIME_TEXT_MAX])
{
        struct tm tm;
        if (!gmtime_r(&seconds, &tm) || strftime(ret, TIME_TEXT_MAX, "%Y%m%dT%H%M%SZ", &tm) == 0) {
                ret[0] = '\0';
        }
}
