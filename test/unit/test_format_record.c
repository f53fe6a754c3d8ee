/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/format_record.h"

#include "harness.h"

static const FormatRecord sample = {
        .cluster_name = "blue",
        .volume_id = "vol-0123456789abcdef0",
        .instance_id = "i-0123456789abcdef0",
        .uuid = "6f0c4a9d-2c4e-4b0f-a5d0-a8b8f3a0c101",
        .created = "2024-01-31T12:00:00Z",
        .state = FORMAT_FORMATTED,
};

static void writes_what_it_reads(void)
{
        for (FormatState state = 0; state < _FORMAT_STATE_MAX; state++) {
                Error err = {};
                FormatRecord record = sample, read = {};
                _cleanup_buffer_ Buffer text = {};
                record.state = state;
                CHECK_OK(format_record_format(&record, &text, &err), err);
                CHECK_CONTAINS(text.data, state == FORMAT_FORMATTED ? "\"state\": \"formatted\""
                                                                    : "\"state\": \"formatting\"");
                CHECK_OK(format_record_parse(text.data, text.size, &read, &err), err);
                CHECK(memcmp(&read, &record, sizeof(read)) == 0);
        }
}

static void has_a_name_of_its_own(void)
{
        char name[FORMAT_RECORD_NAME_MAX];
        format_record_name("vol-0123456789abcdef0", name);
        CHECK_STR(name, "volumes/vol-0123456789abcdef0.json");
}

/* The UUID becomes an argument of mkfs, so no word ("clear", "random", "time") may pass. */
static void needs_every_field(void)
{
        static const struct {
                const char *good, *bad, *says;
        } spoils[] = {
                { "\"schema\": 1", "\"schema\": 2", "a newer one wrote it" },
                { "\"schema\": 1", "\"schema\": 1, \"more\": true", "does not know" },
                { "\"formatted\"", "\"maybe\"", "state is neither" },
                { "\"formatted\"", "null", "state is neither" },
                { "\"state\"", "\"stat\"", "state is neither" },
                { "6f0c4a9d-2c4e-4b0f-a5d0-a8b8f3a0c101", "clear", "uuid" },
                { "6f0c4a9d-2c4e-4b0f-a5d0-a8b8f3a0c101", "6F0C4A9D-2C4E-4B0F-A5D0-A8B8F3A0C101",
                  "uuid" },
                { "vol-0123456789abcdef0", "vol-1", "volume_id" },
                { "2024-01-31T12:00:00Z", "yesterday", "created" },
        };
        FOREACH_ARRAY(s, spoils, ELEMENTS(spoils)) {
                Error err = {};
                FormatRecord record = {};
                _cleanup_buffer_ Buffer text = {}, spoilt = {};
                CHECK_OK(format_record_format(&sample, &text, &err), err);
                char *place = strstr(text.data, s->good);
                REQUIRE(place);
                *place = '\0';
                CHECK(buffer_append_format(&spoilt, "%s%s%s", text.data, s->bad,
                                           place + strlen(s->good)) >= 0);
                CHECK(format_record_parse(spoilt.data, spoilt.size, &record, &err) < 0);
                CHECK_INT(err.class, ERROR_UNSAFE);
                CHECK_CONTAINS(err.message, s->says);
        }
}

int main(void)
{
        test_case("a record is read as it was written", writes_what_it_reads);
        test_case("a record is named after its volume", has_a_name_of_its_own);
        test_case("a record with a wrong field is refused", needs_every_field);
        return test_done();
}
