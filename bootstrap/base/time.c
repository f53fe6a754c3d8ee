/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/string.h"

#define PATTERN "0000-00-00T00:00:00" /* 0: a digit */

/* Reads "2026-02-03T04:05:06" at the beginning of the text into six numbers. */
static int parse_second(const char *text, int ret[6])
{
        static const char pattern[] = PATTERN;
        int n = 0, value = 0;
        for (const char *p = pattern; *p; p++, text++) {
                if (*p == '0' && *text >= '0' && *text <= '9') {
                        value = value * 10 + (*text - '0');
                } else if (*p != '0' && *text == *p) {
                        ret[n++] = value;
                        value = 0;
                } else {
                        return -EINVAL;
                }
        }
        ret[n] = value;
        return 0;
}

/* Reads the rest of the text, ".5Z" or "Z", into nanoseconds. */
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
        int n[6];
        long ns = 0;
        if (!text || parse_second(text, n) < 0 || n[0] < 1970 ||
            parse_fraction(text + strlen(PATTERN), &ns) < 0) {
                return -EINVAL;
        }
        const struct tm tm = { .tm_year = n[0] - 1900,
                               .tm_mon = n[1] - 1,
                               .tm_mday = n[2],
                               .tm_hour = n[3],
                               .tm_min = n[4],
                               .tm_sec = n[5] };
        struct tm again = tm;
        time_t seconds = timegm(&again); /* makes the 30th of February a day of March */
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
