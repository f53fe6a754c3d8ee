/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/claim.h"

#include <errno.h>

#include "harness.h"

static const Claim sample = {
        .cluster_name = "blue",
        .cluster_id = "0123456789abcdef0123456789abcdef",
        .volume_id = "vol-0123456789abcdef0",
        .instance_id = "i-0123456789abcdef0",
        .nonce = "aaaabbbbccccdddd",
        .created = "2024-01-31T12:00:00Z",
};

static void writes_what_it_reads(void)
{
        Error err = {};
        Claim claim = {};
        _cleanup_buffer_ Buffer text = {};
        CHECK_OK(claim_format(&sample, &text, &err), err);
        CHECK_OK(claim_parse(text.data, text.size, &claim, &err), err);
        CHECK(memcmp(&claim, &sample, sizeof(claim)) == 0);
        CHECK_CONTAINS(text.data, "\"schema\": 1");
}

static void does_not_write_what_it_would_not_read(void)
{
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        Claim claim = sample;
        claim.instance_id[0] = '\0';
        CHECK(claim_format(&claim, &text, &err) < 0);
        CHECK_INT(err.class, ERROR_FATAL);
        CHECK_CONTAINS(err.message, "instance_id");
        CHECK_INT(text.size, 0);
}

/* Each line taken out, or changed, makes it no claim. */
static void needs_every_field(void)
{
        static const struct {
                const char *good, *bad, *says;
        } spoils[] = {
                { "\"schema\": 1", "\"schema\": 9", "a newer one wrote it" },
                { "blue", "Blue!", "cluster_name" },
                { "\"0123456789abcdef0123456789abcdef\"", "\"0123\"", "cluster_id" },
                { "\"0123456789abcdef0123456789abcdef\"", "null", "cluster_id" },
                { "vol-0123456789abcdef0", "vol-XYZ456789abcdef0", "volume_id" },
                { "\"i-0123456789abcdef0", "\"0123456789abcdef0", "instance_id" },
                { "aaaabbbb", "a a", "nonce" },
                { "2024-01-31T12:00:00Z", "yesterday", "created" },
                { "\"nonce\"", "\"once\"", "lacks nonce" },
                { "\"schema\": 1", "\"schema\": 1, \"more\": true", "does not know" },
        };
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        CHECK_OK(claim_format(&sample, &text, &err), err);
        FOREACH_ARRAY(s, spoils, ELEMENTS(spoils)) {
                const char *at = strstr(text.data, s->good);
                REQUIRE(at);
                _cleanup_free_ char *spoiled =
                        string_format("%.*s%s%s", (int) (at - text.data), text.data, s->bad,
                                      at + strlen(s->good));
                REQUIRE(spoiled);
                Claim claim = {};
                CHECK_INT(claim_parse(spoiled, strlen(spoiled), &claim, &err), -EBADMSG);
                CHECK_INT(err.class, ERROR_UNSAFE);
                CHECK_CONTAINS(err.message, s->says);
                CHECK_STR(claim.cluster_name, "");
        }
}

static void is_bounded(void)
{
        Error err = {};
        Claim claim = {};
        char large[CLAIM_BYTES_MAX + 1];
        memset(large, ' ', sizeof(large));
        CHECK_INT(claim_parse(large, sizeof(large), &claim, &err), -EBADMSG);
        CHECK_CONTAINS(err.message, "larger than");
}

static void knows_who_is_gone(void)
{
        static const struct {
                bool known;
                const char *state;
                bool gone;
        } cases[] = {
                { true, "pending", false },
                { true, "running", false },
                { true, "stopping", false },
                { true, "stopped", false },
                { true, "shutting-down", false },
                { true, "terminated", true },
                { true, "", false },
                { false, "", true },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                CHECK_INT(claim_holder_is_gone(c->known, c->state), c->gone);
        }
}

int main(void)
{
        test_case("writes what it reads", writes_what_it_reads);
        test_case("does not write what it would not read", does_not_write_what_it_would_not_read);
        test_case("needs every field, each of its form", needs_every_field);
        test_case("is bounded", is_bounded);
        test_case("a holder is gone when terminated or unknown, else not", knows_who_is_gone);
        return test_done();
}
