/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <time.h>

/* Times as text: RFC 3339, in UTC alone. */

#define TIME_TEXT_MAX 32

/* Reads "2026-02-03T04:05:06Z", also with a fraction of one to nine digits before the Z. Returns 0,
 * or -EINVAL for NULL, any other text, a day that no calendar has, a leap second, and a year before
 * 1970. */
int time_parse(const char *text, struct timespec *ret);

/* Writes "2026-02-03T04:05:06Z". A time that no calendar has becomes "". */
void time_format(time_t seconds, char ret[TIME_TEXT_MAX]);

/* Writes microseconds since 1970: "2026-02-03T04:05:06.000007Z". */
void time_format_us(uint64_t us, char ret[TIME_TEXT_MAX]);

/* Writes ISO 8601's basic format, "20260203T040506Z", for signatures of AWS and names of
 * objects. */
void time_format_basic(time_t seconds, char ret[TIME_TEXT_MAX]);
