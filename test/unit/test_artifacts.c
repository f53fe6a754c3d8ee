/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/artifacts.h"

#include <errno.h>

#include "cluster/document.h"
#include "harness.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID   "0123456789abcdef0123456789abcdef"

#define HEAD                                                                            \
        "\"cluster_name\":\"blue\",\"cluster_id\":\"" ID                                \
        "\",\"volume_id\":\"vol-0123456789abcdef0"                                      \
        "\",\"generation\":\"g1\",\"revision\":1,\"created\":\"2024-01-31T12:00:00Z\"," \
        "\"ca_sha256\":\"" HASH "\""
#define FILE_AS(key, size, mode) \
        "{\"key\":\"" key "\",\"sha256\":\"" HASH "\",\"size\":" size ",\"mode\":\"" mode "\"}"
#define INDEX_OF(files) "{\"schema\":1," HEAD ",\"files\":[" files "]}"
#define GOOD_FILE       FILE_AS("node/g1/ca.crt", "10", "0644")

static const struct {
        const char *what, *text;
        const char *says; /* NULL: is fine */
} cases[] = {
        { "one file", INDEX_OF(GOOD_FILE), NULL },
        { "one name in two folders",
          INDEX_OF(GOOD_FILE "," FILE_AS("master/g0/ca.crt", "0", "0600")), NULL },
        { "with settings",
          "{\"schema\":1," HEAD ",\"overlay_network\":\"10.244.0.0/16\","
          "\"overlay_backend\":\"vxlan\",\"service_network\":\"10.96.0.0/16\","
          "\"cluster_domain\":\"cluster.local\",\"container_runtime\":\"containerd\","
          "\"files\":[" GOOD_FILE "]}",
          NULL },
        { "a setting that is none",
          "{\"schema\":1," HEAD ",\"service_network\":\"ten\",\"files\":[" GOOD_FILE "]}",
          "service_network is not a network" },
        { "nothing", "", "not JSON" },
        { "half of it", "{\"schema\":1," HEAD, "not JSON" },
        { "something after it", INDEX_OF(GOOD_FILE) "x", "not JSON" },
        { "a list", "[1]", "not a JSON object" },
        { "no schema", "{" HEAD ",\"files\":[" GOOD_FILE "]}", "no schema number" },
        { "a newer schema", "{\"schema\":2," HEAD ",\"files\":[" GOOD_FILE "]}", "a newer one" },
        { "schema as text", "{\"schema\":\"1\"," HEAD ",\"files\":[" GOOD_FILE "]}", "no schema" },
        { "a key twice", "{\"schema\":1,\"schema\":1," HEAD ",\"files\":[" GOOD_FILE "]}",
          "a key appears twice" },
        { "an unknown key", "{\"schema\":1,\"more\":1," HEAD ",\"files\":[" GOOD_FILE "]}",
          "does not know" },
        { "no files", "{\"schema\":1," HEAD "}", "files is not a list" },
        { "files empty", INDEX_OF(""), "files is not a list" },
        { "files no list", "{\"schema\":1," HEAD ",\"files\":{}}", "files is not a list" },
        { "no head", "{\"schema\":1,\"files\":[" GOOD_FILE "]}", "lacks cluster_name" },
        { "a file that is no object", INDEX_OF("7"), "not a JSON object" },
        { "a file with more",
          INDEX_OF("{\"key\":\"node/g/a\",\"sha256\":\"" HASH
                   "\",\"size\":1,\"mode\":\"0600\",\"x\":1}"),
          "does not know" },
        { "a file without size",
          INDEX_OF("{\"key\":\"node/g/a\",\"sha256\":\"" HASH "\",\"mode\":\"0600\"}"),
          "lacks size" },
        { "a short digest",
          INDEX_OF("{\"key\":\"node/g/a\",\"sha256\":\"0123\",\"size\":1,"
                   "\"mode\":\"0600\"}"),
          "sha256 is not 64 hex" },
        { "same name twice", INDEX_OF(GOOD_FILE "," FILE_AS("node/g2/ca.crt", "10", "0644")),
          "second file of this name" },
        { "size too large", INDEX_OF(FILE_AS("node/g1/a", "1048577", "0600")), "size is not" },
        { "size negative", INDEX_OF(FILE_AS("node/g1/a", "-1", "0600")), "size is not" },
        { "size a fraction", INDEX_OF(FILE_AS("node/g1/a", "1.5", "0600")), "size is not" },
        { "size as text", INDEX_OF(FILE_AS("node/g1/a", "\"1\"", "0600")), "size is not" },
        { "size past 64 bits", INDEX_OF(FILE_AS("node/g1/a", "99999999999999999999", "0600")),
          "not JSON" },
        { "mode set-uid", INDEX_OF(FILE_AS("node/g1/a", "1", "4755")), "neither 0600 nor 0644" },
        { "mode world-writable", INDEX_OF(FILE_AS("node/g1/a", "1", "0666")), "neither 0600" },
        { "mode no number", INDEX_OF(FILE_AS("node/g1/a", "1", "rw--")), "mode is not" },
        { "other folder", INDEX_OF(FILE_AS("claim/g1/a", "1", "0600")), "is not {master,node" },
        { "no folder", INDEX_OF(FILE_AS("ca.crt", "1", "0600")), "is not {master,node" },
        { "no generation", INDEX_OF(FILE_AS("node/ca.crt", "1", "0600")), "is not {master,node" },
        { "deeper", INDEX_OF(FILE_AS("node/g1/x/ca.crt", "1", "0600")), "is not {master,node" },
        { "dots", INDEX_OF(FILE_AS("node/g1/..", "1", "0600")), "is not {master,node" },
        { "dots on the way", INDEX_OF(FILE_AS("node/../ca.crt", "1", "0600")), "is not {master" },
        { "hidden", INDEX_OF(FILE_AS("node/g1/.profile", "1", "0600")), "is not {master,node" },
        { "an option", INDEX_OF(FILE_AS("node/g1/-rf", "1", "0600")), "is not {master,node" },
        { "no name", INDEX_OF(FILE_AS("node/g1/", "1", "0600")), "is not {master,node" },
        { "the index itself", INDEX_OF(FILE_AS("node/g1/index.json", "1", "0600")), "is not {mas" },
        { "absolute", INDEX_OF(FILE_AS("/node/g1/a", "1", "0600")), "is not {master,node" },
        { "prefix alike", INDEX_OF(FILE_AS("nodes/g1/a", "1", "0600")), "is not {master,node" },
        { "odd letters", INDEX_OF(FILE_AS("node/g1/a b", "1", "0600")), "key is not" },
        { "a NUL", INDEX_OF(FILE_AS("node/g1/a\\u0000b", "1", "0600")), "not JSON" },
        { "a name of 65", INDEX_OF(FILE_AS("node/g1/" HASH "x", "1", "0600")), "is not {master" },
        { "a generation of 40",
          INDEX_OF(FILE_AS("node/0123456789012345678901234567890123456789/a", "1", "0600")),
          "is not {master" },
};

static void judges_every_case(void)
{
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                _cleanup_artifacts_index_ ArtifactsIndex index = {};
                int r = artifacts_index_parse(c->text, strlen(c->text), &index, &err);
                if ((r >= 0) != !c->says) {
                        test_fail(__FILE__, __LINE__, "%s: %d %s", c->what, r, err.message);
                }
                if (c->says) {
                        CHECK_INT(r, -EBADMSG);
                        CHECK_INT(err.class, ERROR_UNSAFE);
                        CHECK_CONTAINS(err.message, "index.json");
                        CHECK_CONTAINS(err.message, c->says);
                        CHECK(!index.files);
                }
        }
}

/* A value of each field in turn is spoiled: no field goes unchecked. */
static void checks_every_field_of_the_head(void)
{
        static const struct {
                const char *good, *bad;
        } spoils[] = {
                { "\"blue\"", "\"Blue\"" },
                { "\"blue\"", "\"\"" },
                { "\"blue\"", "7" },
                { "\"cluster_id\":\"" ID "\"", "\"cluster_id\":\"" ID "0\"" },
                { "vol-0123456789abcdef0", "vol-0123456" },
                { "vol-0123456789abcdef0", "i-0123456789abcdef0" },
                { "\"g1\",\"rev", "\"g/1\",\"rev" },
                { "\"revision\":1", "\"revision\":-1" },
                { "\"revision\":1", "\"revision\":2147483648" },
                { "2024-01-31T12:00:00Z", "2024-01-31 12:00:00Z" },
                { "\"ca_sha256\":\"0", "\"ca_sha256\":\"G" },
                { "\"ca_sha256\"", "\"ca_sha1\"" },
        };
        const char *text = INDEX_OF(GOOD_FILE);
        FOREACH_ARRAY(s, spoils, ELEMENTS(spoils)) {
                const char *at = strstr(text, s->good);
                REQUIRE(at);
                _cleanup_free_ char *spoiled = string_format("%.*s%s%s", (int) (at - text), text,
                                                             s->bad, at + strlen(s->good));
                REQUIRE(spoiled);
                Error err = {};
                ArtifactsIndex index = {};
                if (artifacts_index_parse(spoiled, strlen(spoiled), &index, &err) >= 0) {
                        test_fail(__FILE__, __LINE__, "accepted %s", s->bad);
                        artifacts_index_done(&index);
                }
        }
}

static ArtifactsIndex sample(void)
{
        return (ArtifactsIndex) {
                .cluster_name = "blue",
                .cluster_id = ID,
                .volume_id = "vol-0123456789abcdef0",
                .generation = "20240131T120000Z-01234567",
                .created = "2024-01-31T12:00:00Z",
                .ca_sha256 = HASH,
                .settings = { .container_runtime = "containerd" },
                .revision = 3,
        };
}

static void writes_what_it_reads(void)
{
        Error err = {};
        _cleanup_artifacts_index_ ArtifactsIndex index = sample(), again = {};
        CHECK_OK(artifacts_index_add(&index, ARTIFACTS_MASTER, "ca.key", 0600, "abc", 3, &err),
                 err);
        CHECK_OK(artifacts_index_add(&index, ARTIFACTS_NODE, "ca.crt", 0644, "", 0, &err), err);
        _cleanup_buffer_ Buffer text = {}, text_again = {};
        CHECK_OK(artifacts_index_format(&index, &text, &err), err);
        CHECK_OK(artifacts_index_parse(text.data, text.size, &again, &err), err);
        CHECK_OK(artifacts_index_format(&again, &text_again, &err), err);
        CHECK_STR(text_again.data, text.data);
        CHECK_INT(again.revision, 3);
        CHECK_STR(again.settings.container_runtime, "containerd");
        CHECK_STR(again.cluster_id, index.cluster_id);
        REQUIRE(again.n_files == 2);
        CHECK_STR(again.files[0].key, "master/20240131T120000Z-01234567/ca.key");
        CHECK_STR(artifacts_file_name(&again.files[0]), "ca.key");
        CHECK_INT(artifacts_file_mode(&again.files[0]), 0600);
        CHECK_INT(artifacts_file_mode(&again.files[1]), 0644);
        CHECK(artifacts_file_is_in(&again.files[0], ARTIFACTS_MASTER));
        CHECK(!artifacts_file_is_in(&again.files[0], ARTIFACTS_NODE));
        CHECK(artifacts_index_find(&again, ARTIFACTS_NODE, "ca.crt") == &again.files[1]);
        CHECK(!artifacts_index_find(&again, ARTIFACTS_NODE, "ca.key"));
        /* sha256("abc"): FIPS 180-2, appendix B.1 */
        CHECK_STR(again.files[0].sha256,
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void does_not_write_what_it_would_not_read(void)
{
        Error err = {};
        _cleanup_artifacts_index_ ArtifactsIndex index = sample();
        CHECK(artifacts_index_add(&index, ARTIFACTS_NODE, "../x", 0600, "", 0, &err) < 0);
        CHECK_INT(err.class, ERROR_FATAL);
        CHECK(artifacts_index_add(&index, ARTIFACTS_NODE, "x", 0777, "", 0, &err) < 0);
        CHECK_OK(artifacts_index_add(&index, ARTIFACTS_NODE, "x", 0600, "", 0, &err), err);
        CHECK(artifacts_index_add(&index, ARTIFACTS_NODE, "x", 0600, "", 0, &err) < 0);
        CHECK_INT(index.n_files, 1);
        _cleanup_buffer_ Buffer text = {};
        index.cluster_id[0] = 'X';
        CHECK(artifacts_index_format(&index, &text, &err) < 0);
        CHECK_INT(err.class, ERROR_FATAL);
        CHECK_INT(text.size, 0);
}

static void holds_the_limits(void)
{
        Error err = {};
        _cleanup_artifacts_index_ ArtifactsIndex index = sample(), again = {};
        char name[65];
        for (size_t i = 0; i < ARTIFACTS_FILES_MAX; i++) { /* names as long as may be */
                (void) snprintf(name, sizeof(name), "%064zu", i);
                CHECK_OK(artifacts_index_add(&index, ARTIFACTS_MASTER, name, 0600, "", 0, &err),
                         err);
        }
        CHECK(artifacts_index_add(&index, ARTIFACTS_MASTER, "more", 0600, "", 0, &err) < 0);
        _cleanup_buffer_ Buffer text = {};
        CHECK_OK(artifacts_index_format(&index, &text, &err), err);
        CHECK_OK(artifacts_index_parse(text.data, text.size, &again, &err), err);
        CHECK_INT(again.n_files, ARTIFACTS_FILES_MAX);

        ArtifactsIndex refused = {};
        while (text.size <= ARTIFACTS_INDEX_BYTES_MAX) {
                CHECK_OK(buffer_append_string(&text, "                "), err);
        }
        CHECK(artifacts_index_parse(text.data, text.size, &refused, &err) < 0);
        CHECK_CONTAINS(err.message, "larger than");
}

static void names_key_and_both_digests(void)
{
        Error err = {};
        _cleanup_artifacts_index_ ArtifactsIndex index = sample();
        CHECK_OK(artifacts_index_add(&index, ARTIFACTS_NODE, "x", 0600, "abc", 3, &err), err);
        REQUIRE(index.n_files == 1);
        CHECK_OK(artifacts_file_verify(&index.files[0], "abc", 3, &err), err);
        CHECK_INT(artifacts_file_verify(&index.files[0], "abd", 3, &err), -EBADMSG);
        CHECK_INT(err.class, ERROR_UNSAFE);
        CHECK_CONTAINS(err.message, index.files[0].key);
        CHECK_CONTAINS(err.message, "ba7816bf8f01cfea"); /* expected */
        CHECK_CONTAINS(err.message, "a52d159f262b2c6d"); /* found */
        CHECK_INT(artifacts_file_verify(&index.files[0], "abcd", 4, &err), -EBADMSG);
        CHECK_CONTAINS(err.message, "4 bytes");
}

static void draws_generations(void)
{
        Error err = {};
        char a[40], b[40];
        CHECK_OK(artifacts_generation_new(a, &err), err);
        CHECK_OK(artifacts_generation_new(b, &err), err);
        CHECK(!streq(a, b));
        CHECK(document_is(DOCUMENT_LABEL, a));
        CHECK_OK(artifacts_random_id(a, &err), err);
        CHECK(document_is(DOCUMENT_CLUSTER_ID, a));
        document_now(a);
        CHECK(document_is(DOCUMENT_TIME, a));
}

int main(void)
{
        test_case("reads an index, and refuses what is none", judges_every_case);
        test_case("checks every field", checks_every_field_of_the_head);
        test_case("writes what it reads", writes_what_it_reads);
        test_case("does not write what it would not read", does_not_write_what_it_would_not_read);
        test_case("holds at most 256 files and 128 KiB", holds_the_limits);
        test_case("a mismatch names key and both digests", names_key_and_both_digests);
        test_case("draws generations and ids", draws_generations);
        return test_done();
}
