/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include <errno.h>

#include "harness.h"

/* Seconds as GNU date counts them: date -u -d 1985-04-12T23:20:50Z +%s */
static const struct {
        const char *text;
        int64_t seconds;
        long ns;
} good[] = {
        { "1985-04-12T23:20:50.52Z", 482196050, 520000000 }, /* RFC 3339, 5.8 */
        { "1970-01-01T00:00:00Z", 0, 0 },
        { "2026-02-03T04:05:06Z", 1770091506, 0 },
        { "2024-02-29T23:59:59.999999999Z", 1709251199, 999999999 },
        { "2026-02-03T04:05:06.000007Z", 1770091506, 7000 },
        { "2038-01-19T03:14:08Z", INT64_C(2147483648), 0 },
};

static const char *const bad[] = {
        "",
        "2026-02-03",
        "2026-02-03T04:05:06",
        "2026-02-03 04:05:06Z",
        "2026-02-03t04:05:06z",
        "2026-02-03T04:05:06z",
        "2026-02-03T04:05:06+00:00", /* RFC 3339 has it; neither AWS nor Kubernetes writes it */
        "1996-12-19T16:39:57-08:00",
        "1990-12-31T23:59:60Z", /* a leap second */
        "2026-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-03T24:00:00Z",
        "2026-02-03T04:60:00Z",
        "2026-2-03T04:05:06Z",
        "2026-02-03T4:05:06Z",
        "+026-02-03T04:05:06Z",
        "2026-02-03T04:05:06.Z",
        "2026-02-03T04:05:06.1234567890Z",
        "2026-02-03T04:05:06.5",
        "2026-02-03T04:05:06Z ",
        " 2026-02-03T04:05:06Z",
        "2026-02-03T04:05:06ZZ",
        "0001-01-01T00:00:00Z", /* Go's zero time */
        "1969-12-31T23:59:59Z",
};

static void times_are_read(void)
{
        FOREACH_ARRAY(g, good, ELEMENTS(good)) {
                struct timespec ts = {};
                CHECK_INT(time_parse(g->text, &ts), 0);
                CHECK_INT(ts.tv_sec, g->seconds);
                CHECK_INT(ts.tv_nsec, g->ns);
        }
}

static void others_are_refused(void)
{
        struct timespec ts = { .tv_sec = 1 };
        CHECK_INT(time_parse(NULL, &ts), -EINVAL);
        FOREACH_ARRAY(b, bad, ELEMENTS(bad)) {
                if (time_parse(*b, &ts) != -EINVAL) {
                        test_fail(__FILE__, __LINE__, "\"%s\" was taken", *b);
                }
        }
        CHECK_INT(ts.tv_sec, 1);
}

static void times_are_written(void)
{
        char text[TIME_TEXT_MAX];
        time_format(1770091506, text);
        CHECK_STR(text, "2026-02-03T04:05:06Z");
        time_format_us(UINT64_C(1770091506000007), text);
        CHECK_STR(text, "2026-02-03T04:05:06.000007Z");
        time_format_basic(1440938160, text); /* the day of AWS's example signatures */
        CHECK_STR(text, "20150830T123600Z");
        time_format(INT64_MAX, text);
        CHECK_STR(text, "");
        time_format_us(UINT64_MAX, text);
        CHECK(strlen(text) < TIME_TEXT_MAX);
}

int main(void)
{
        test_case("RFC 3339 in UTC is read", times_are_read);
        test_case("another form, or a day that there is not, is refused", others_are_refused);
        test_case("times are written", times_are_written);
        return test_done();
}
