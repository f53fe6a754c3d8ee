/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/lineage.h"

#include <errno.h>

#include "harness.h"

#define ID_A   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HASH_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HASH_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

#define VOLUME_HERE "vol-0123456789abcdef0"
#define VOLUME_FAR  "vol-0fedcba9876543210"
#define I_ME        "i-0123456789abcdef0"
#define I_OTHER     "i-0fedcba9876543210"

/* --- the identity file --- */

static const LineageIdentity pending = { .cluster_name = "blue",
                                         .cluster_id = ID_A,
                                         .created = "2024-01-31T12:00:00Z" };
static const LineageIdentity complete = {
        .cluster_name = "blue",
        .cluster_id = ID_A,
        .created = "2024-01-31T12:00:00Z",
        .ca_sha256 = HASH_A,
        .complete = true,
};

static void identity_is_written_as_read(void)
{
        LineageIdentity replacing = pending;
        (void) snprintf(replacing.replaces, sizeof(replacing.replaces), "%s", ID_B);
        LineageIdentity grown = complete;
        grown.etcd_member = true;
        LineageIdentity recorded = complete;
        recorded.settings = (ClusterSettings) { .overlay_network = "10.244.0.0/16",
                                                .overlay_backend = "host-gw",
                                                .service_network = "10.96.0.0/16",
                                                .cluster_domain = "cluster.local",
                                                .container_runtime = "containerd" };
        LineageIdentity in_part = pending;
        in_part.settings = (ClusterSettings) { .service_network = "255.255.255.252/30",
                                               .cluster_domain = "a" };
        const LineageIdentity *const all[] = { &pending, &complete, &replacing,
                                               &grown,   &recorded, &in_part };
        FOREACH_ARRAY(identity, all, ELEMENTS(all)) {
                Error err = {};
                LineageIdentity again = {};
                _cleanup_buffer_ Buffer text = {};
                CHECK_OK(lineage_identity_format(*identity, &text, &err), err);
                CHECK_OK(lineage_identity_parse(text.data, text.size, &again, &err), err);
                CHECK(memcmp(&again, *identity, sizeof(again)) == 0);
        }
}

static void identity_is_strict(void)
{
        static const struct {
                const char *text, *says;
        } cases[] = {
#define REST                                                \
        ",\"cluster_name\":\"blue\",\"cluster_id\":\"" ID_A \
        "\",\"created\":\"2024-01-31T12:00:00Z\"}"
                { "", "not JSON" },
                { "{\"schema\":1", "not JSON" },
                { "{\"schema\":3,\"state\":\"pending\"" REST, "a newer one wrote it" },
                { "{\"schema\":1,\"state\":\"done\"" REST, "neither pending nor complete" },
                { "{\"schema\":1,\"state\":true" REST, "neither pending nor complete" },
                { "{\"schema\":1,\"stat\":\"pending\"" REST, "neither pending nor complete" },
                { "{\"schema\":1" REST, "does not know" },
                { "{\"schema\":1,\"state\":\"complete\"" REST, "does not fit" },
                { "{\"schema\":1,\"state\":\"pending\",\"ca_sha256\":\"" HASH_A "\"" REST,
                  "does not fit" },
                { "{\"schema\":1,\"state\":\"complete\",\"ca_sha256\":\"" HASH_A
                  "\",\"replaces\":\"" ID_B "\"" REST,
                  "does not fit" },
                { "{\"schema\":1,\"state\":\"complete\",\"ca_sha256\":\"\"" REST, "ca_sha256" },
                { "{\"schema\":1,\"state\":\"pending\",\"more\":1" REST, "does not know" },
                { "{\"schema\":1,\"state\":\"pending\",\"etcd_member\":1" REST,
                  "neither true nor false" },
                { "{\"schema\":1,\"state\":\"pending\",\"state\":\"complete\"" REST, "twice" },
                { "{\"schema\":1,\"state\":\"pending\",\"service_network\":\"10.96.0.0\\n/"
                  "16\"" REST,
                  "service_network is not a network" },
                { "{\"schema\":1,\"state\":\"pending\",\"overlay_network\":\"\"" REST,
                  "overlay_network is not a network" },
                { "{\"schema\":1,\"state\":\"pending\",\"overlay_backend\":true" REST,
                  "overlay_backend is not" },
                { "{\"schema\":1,\"state\":\"pending\",\"cluster_domain\":\"A\"" REST,
                  "cluster_domain is not a DNS name" },
#undef REST
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                LineageIdentity identity = {};
                CHECK_INT(lineage_identity_parse(c->text, strlen(c->text), &identity, &err),
                          -EBADMSG);
                CHECK_INT(err.class, ERROR_UNSAFE);
                CHECK_CONTAINS(err.message, "cluster-identity.json");
                CHECK_CONTAINS(err.message, c->says);
                CHECK_STR(identity.cluster_id, "");
        }
}

static void identity_without_sense_is_not_written(void)
{
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        LineageIdentity identity = complete;
        identity.ca_sha256[0] = '\0';
        CHECK(lineage_identity_format(&identity, &text, &err) < 0);
        identity = complete;
        identity.complete = false;
        CHECK(lineage_identity_format(&identity, &text, &err) < 0);
        CHECK_INT(text.size, 0);
}

/* --- the table --- */

/* Scenes for the states, each as it comes about. */
static const LineageIdentity foreign = { .cluster_name = "green",
                                         .cluster_id = ID_A,
                                         .created = "2024-01-31T12:00:00Z" };
static const LineageIdentity replacing = {
        .cluster_name = "blue",
        .cluster_id = ID_A,
        .created = "2024-01-31T12:00:00Z",
        .replaces = ID_B,
};
static ArtifactsIndex index_ours = {
        .cluster_name = "blue", .cluster_id = ID_A, .volume_id = VOLUME_HERE, .ca_sha256 = HASH_A
};
static ArtifactsIndex index_other_ca = {
        .cluster_name = "blue", .cluster_id = ID_A, .volume_id = VOLUME_HERE, .ca_sha256 = HASH_B
};
static ArtifactsIndex index_other = {
        .cluster_name = "blue", .cluster_id = ID_B, .volume_id = VOLUME_FAR, .ca_sha256 = HASH_B
};
#define CLAIM_BY(cluster, volume, instance)                                                \
        {                                                                                  \
                .cluster_name = "blue", .cluster_id = (cluster), .volume_id = (volume),    \
                .instance_id = (instance), .nonce = "n", .created = "2024-01-31T12:00:00Z" \
        }
static const Claim claim_ours = CLAIM_BY(ID_A, VOLUME_HERE, I_OTHER);
static const Claim claim_other = CLAIM_BY(ID_B, VOLUME_HERE, I_OTHER);
static const Claim claim_other_far = CLAIM_BY(ID_B, VOLUME_FAR, I_OTHER);
static const Claim claim_mine_before = CLAIM_BY(ID_B, VOLUME_HERE, I_ME);
static const Claim claim_same_id_far = CLAIM_BY(ID_A, VOLUME_FAR, I_OTHER);

static LineageScene scene_of(const LineageIdentity *identity, const ArtifactsIndex *index,
                             const Claim *claim, bool gone)
{
        return (LineageScene) {
                .cluster_name = "blue",
                .volume_id = VOLUME_HERE,
                .instance_id = I_ME,
                .bucket_url = "s3://bucket/pki",
                .identity = identity,
                .index = index,
                .claim = claim,
                .holder_gone = gone,
                .holder_state = gone ? "terminated" : "running",
        };
}

static void tells_states_of_the_volume(void)
{
        LineageScene scene = scene_of(NULL, NULL, NULL, false);
        CHECK_INT(lineage_volume(&scene), LINEAGE_VOLUME_BLANK);
        scene.etcd_member = true;
        CHECK_INT(lineage_volume(&scene), LINEAGE_VOLUME_ORPHAN);
        scene.identity = &pending; /* new keys under way, over data */
        CHECK_INT(lineage_volume(&scene), LINEAGE_VOLUME_PENDING);
        scene.identity = &complete;
        CHECK_INT(lineage_volume(&scene), LINEAGE_VOLUME_COMPLETE);
        scene.etcd_member = false;
        CHECK_INT(lineage_volume(&scene), LINEAGE_VOLUME_COMPLETE);
        scene.identity = &foreign;
        CHECK_INT(lineage_volume(&scene), LINEAGE_VOLUME_FOREIGN);
}

static void tells_states_of_the_bucket(void)
{
        const struct {
                LineageScene scene;
                LineageBucket bucket;
        } cases[] = {
                { scene_of(&pending, NULL, NULL, false), LINEAGE_BUCKET_EMPTY },
                { scene_of(&pending, NULL, &claim_ours, false), LINEAGE_BUCKET_CLAIM_OURS },
                { scene_of(&pending, NULL, &claim_ours, true), LINEAGE_BUCKET_CLAIM_OURS },
                { scene_of(NULL, NULL, &claim_ours, false), LINEAGE_BUCKET_CLAIM_LIVE },
                { scene_of(&pending, NULL, &claim_other, false), LINEAGE_BUCKET_CLAIM_LIVE },
                { scene_of(&pending, NULL, &claim_other, true), LINEAGE_BUCKET_CLAIM_DEAD },
                { scene_of(&pending, NULL, &claim_mine_before, false), LINEAGE_BUCKET_CLAIM_DEAD },
                { scene_of(NULL, NULL, &claim_other_far, false), LINEAGE_BUCKET_CLAIM_LIVE },
                { scene_of(NULL, NULL, &claim_other_far, true), LINEAGE_BUCKET_CLAIM_DEAD_FAR },
                /* a copy of a pending volume is not that volume */
                { scene_of(&pending, NULL, &claim_same_id_far, false), LINEAGE_BUCKET_CLAIM_LIVE },
                { scene_of(&pending, &index_ours, NULL, false), LINEAGE_BUCKET_INDEX_OURS },
                { scene_of(&complete, &index_ours, NULL, false), LINEAGE_BUCKET_INDEX_OURS },
                { scene_of(&pending, &index_other_ca, NULL, false), LINEAGE_BUCKET_INDEX_OURS },
                { scene_of(&complete, &index_other_ca, NULL, false),
                  LINEAGE_BUCKET_INDEX_OTHER_CA },
                { scene_of(&complete, &index_other, NULL, false), LINEAGE_BUCKET_INDEX_OTHER },
                { scene_of(&replacing, &index_other, NULL, false), LINEAGE_BUCKET_INDEX_REPLACED },
                { scene_of(&replacing, &index_ours, NULL, false), LINEAGE_BUCKET_INDEX_OURS },
                { scene_of(NULL, &index_ours, NULL, false), LINEAGE_BUCKET_INDEX_OTHER },
                /* the index decides, whatever the claim says */
                { scene_of(&complete, &index_ours, &claim_other, false),
                  LINEAGE_BUCKET_INDEX_OURS },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                LineageBucket found = lineage_bucket(&cases[i].scene);
                if (found != cases[i].bucket) {
                        test_fail(__FILE__, __LINE__, "case %zu: %s, expected %s", i,
                                  lineage_bucket_to_string(found),
                                  lineage_bucket_to_string(cases[i].bucket));
                }
        }
}

/* Every cell, written down a second time and in another way: a line for a volume, a column for a
 * bucket, in the order of LineageBucket. R refuse, W wait, B begin, S resume, T take over,
 * C complete, F fetch; in the second block what --new-cluster (n), --new-keys (k), --takeover (t)
 * make of it. */
static const char *const expected[_LINEAGE_VOLUME_MAX] = {
        [LINEAGE_VOLUME_BLANK] = "BRWTRRRRR",    [LINEAGE_VOLUME_PENDING] = "SSWTRCSRR",
        [LINEAGE_VOLUME_COMPLETE] = "RRRRRFRRR", [LINEAGE_VOLUME_FOREIGN] = "RRRRRRRRR",
        [LINEAGE_VOLUME_ORPHAN] = "RRRRRRRRR",
};
static const char *const with_flag[_LINEAGE_VOLUME_MAX][2] = {
        [LINEAGE_VOLUME_BLANK] = { "....t...n", "....T...B" },
        [LINEAGE_VOLUME_PENDING] = { "....t....", "....T...." },
        [LINEAGE_VOLUME_COMPLETE] = { "kk.k.....", "BB.T....." },
        [LINEAGE_VOLUME_FOREIGN] = { ".........", "........." },
        [LINEAGE_VOLUME_ORPHAN] = { "k..k.....", "B..T....." },
};

static char letter_of(LineageOutcome outcome)
{
        return "RWBSTCF"[outcome];
}

static LineageFlag flag_of(char letter)
{
        switch (letter) {
        case 'n':
                return LINEAGE_NEW_CLUSTER;
        case 'k':
                return LINEAGE_NEW_KEYS;
        case 't':
                return LINEAGE_TAKEOVER;
        default:
                return 0;
        }
}

static void check_cell(LineageVolume volume, LineageBucket bucket)
{
        LineageFlag flag = 0, wanted_flag = flag_of(with_flag[volume][0][bucket]);
        const unsigned all = LINEAGE_NEW_CLUSTER | LINEAGE_NEW_KEYS | LINEAGE_TAKEOVER;
        for (unsigned flags = 0; flags <= all; flags++) {
                char found = letter_of(lineage_cell(volume, bucket, flags, &flag));
                char wanted = flags & wanted_flag ? with_flag[volume][1][bucket]
                                                  : expected[volume][bucket];
                if (found != wanted || flag != wanted_flag) {
                        test_fail(__FILE__, __LINE__, "%s, %s, flags %u: %c (flag %u), expected %c",
                                  lineage_volume_to_string(volume),
                                  lineage_bucket_to_string(bucket), flags, found, (unsigned) flag,
                                  wanted);
                }
        }
}

static void walks_every_cell(void)
{
        for (LineageVolume v = 0; v < _LINEAGE_VOLUME_MAX; v++) {
                CHECK_INT(strlen(expected[v]), _LINEAGE_BUCKET_MAX);
                for (LineageBucket b = 0; b < _LINEAGE_BUCKET_MAX; b++) {
                        check_cell(v, b);
                }
        }
}

/* The rules that the table must keep whatever its cells say. */
static void keeps_the_rules(void)
{
        for (LineageVolume v = 0; v < _LINEAGE_VOLUME_MAX; v++) {
                for (LineageBucket b = 0; b < _LINEAGE_BUCKET_MAX; b++) {
                        for (unsigned flags = 0; flags < 8; flags++) {
                                LineageOutcome o = lineage_cell(v, b, flags, NULL);
                                bool makes = o == LINEAGE_BEGIN || o == LINEAGE_RESUME ||
                                             o == LINEAGE_TAKE_OVER;
                                /* never a second CA beside someone who lives */
                                CHECK(!(makes && b == LINEAGE_BUCKET_CLAIM_LIVE));
                                /* never a new CA over one that is there and ours */
                                CHECK(!(makes && (b == LINEAGE_BUCKET_INDEX_OURS ||
                                                  b == LINEAGE_BUCKET_INDEX_OTHER_CA)));
                                /* never a new CA over data, but when told */
                                CHECK(!(makes && !flags &&
                                        (v == LINEAGE_VOLUME_COMPLETE ||
                                         v == LINEAGE_VOLUME_ORPHAN)));
                                /* nothing at all with another cluster's volume */
                                CHECK(v != LINEAGE_VOLUME_FOREIGN || o == LINEAGE_REFUSE);
                                /* etcd's data only ever meets the CA it knows */
                                CHECK(o != LINEAGE_FETCH || (v == LINEAGE_VOLUME_COMPLETE &&
                                                             b == LINEAGE_BUCKET_INDEX_OURS));
                        }
                }
        }
}

static void names_everything(void)
{
        for (LineageVolume v = 0; v < _LINEAGE_VOLUME_MAX; v++) {
                CHECK(lineage_volume_to_string(v) != NULL);
        }
        for (LineageBucket b = 0; b < _LINEAGE_BUCKET_MAX; b++) {
                CHECK(lineage_bucket_to_string(b) != NULL);
        }
        for (LineageOutcome o = 0; o < _LINEAGE_OUTCOME_MAX; o++) {
                CHECK(lineage_outcome_to_string(o) != NULL);
        }
        CHECK(!lineage_outcome_to_string(_LINEAGE_OUTCOME_INVALID));
}

static void refusals_say_what_and_how(void)
{
        LineageScene orphan = scene_of(NULL, NULL, NULL, false);
        orphan.etcd_member = true;
        const struct {
                LineageScene scene;
                const char *says[5];
        } cases[] = {
                { scene_of(&foreign, NULL, NULL, false),
                  { VOLUME_HERE, "green", "CLUSTER_NAME is blue", "MASTER_VOLUME_ID" } },
                { scene_of(&complete, NULL, NULL, false),
                  { VOLUME_HERE, ID_A, "s3://bucket/pki", "--new-keys", "index.json" } },
                { scene_of(NULL, &index_other, NULL, false),
                  { "is blank", ID_B, VOLUME_FAR, "--new-cluster", "snapshot" } },
                { scene_of(NULL, NULL, &claim_other_far, true),
                  { I_OTHER, "terminated", VOLUME_FAR, "--takeover" } },
                { scene_of(&complete, NULL, &claim_other, false),
                  { I_OTHER, "running", "another cluster is being made", "S3_PREFIX" } },
                { scene_of(&complete, &index_other_ca, NULL, false),
                  { "fedcba98", "Restore the earlier version of index.json" } },
                { scene_of(&pending, &index_other, NULL, false),
                  { "pending", ID_A, ID_B, "S3_BUCKET" } },
                { orphan, { "etcd member and no identity", "--new-keys" } },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                CHECK_INT(lineage_decide(&c->scene, 0), LINEAGE_REFUSE);
                CHECK(lineage_refusal(&c->scene, &err) < 0);
                CHECK_INT(err.class, ERROR_UNSAFE);
                CHECK(strlen(err.message) < ERROR_MESSAGE_MAX - 1); /* not cut */
                for (size_t i = 0; i < ELEMENTS(c->says) && c->says[i]; i++) {
                        CHECK_CONTAINS(err.message, c->says[i]);
                }
        }
}

/* The whole of a first boot, as the table sees it; and the same after a crash at each point. */
static void leads_a_first_boot_to_its_end(void)
{
        LineageScene scene = scene_of(NULL, NULL, NULL, false);
        CHECK_INT(lineage_decide(&scene, 0), LINEAGE_BEGIN);
        scene.identity = &pending;
        CHECK_INT(lineage_decide(&scene, 0), LINEAGE_RESUME);
        scene.claim = &claim_ours;
        CHECK_INT(lineage_decide(&scene, 0), LINEAGE_RESUME);
        scene.index = &index_ours;
        CHECK_INT(lineage_decide(&scene, 0), LINEAGE_COMPLETE);
        scene.identity = &complete;
        CHECK_INT(lineage_decide(&scene, 0), LINEAGE_FETCH);
}

/* From when on the settings in an identity are those that something was made with. */
static void fixes_settings_with_the_first_certificate(void)
{
        LineageIdentity grown = pending;
        grown.etcd_member = true;
        LineageScene with_member = scene_of(&pending, NULL, NULL, false);
        with_member.etcd_member = true;
        const struct {
                LineageScene scene;
                bool fixed;
        } cases[] = {
                { scene_of(NULL, NULL, NULL, false), false },
                { scene_of(NULL, &index_other, NULL, false), false },
                { scene_of(&pending, NULL, NULL, false), false },
                { scene_of(&pending, NULL, &claim_ours, false), false },
                { scene_of(&replacing, &index_other, NULL, false), false },
                { scene_of(&pending, &index_ours, NULL, false), true },
                { scene_of(&complete, NULL, NULL, false), true }, /* new keys over its data */
                { scene_of(&complete, &index_ours, NULL, false), true },
                { scene_of(&grown, NULL, NULL, false), true },
                { with_member, true },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                if (lineage_settings_are_fixed(&cases[i].scene) != cases[i].fixed) {
                        test_fail(__FILE__, __LINE__, "case %zu is not %d", i, cases[i].fixed);
                }
        }
}

int main(void)
{
        test_case("identity: written as read", identity_is_written_as_read);
        test_case("identity: strict", identity_is_strict);
        test_case("identity: a senseless one is not written",
                  identity_without_sense_is_not_written);
        test_case("tells the states of a volume", tells_states_of_the_volume);
        test_case("tells the states of a bucket", tells_states_of_the_bucket);
        test_case("every cell of the table, with every set of flags", walks_every_cell);
        test_case("the rules that no cell may break", keeps_the_rules);
        test_case("every state has a name", names_everything);
        test_case("a refusal says what was found and what a person can do",
                  refusals_say_what_and_how);
        test_case("settings are fixed with the first certificate",
                  fixes_settings_with_the_first_certificate);
        test_case("leads a first boot to its end", leads_a_first_boot_to_its_end);
        return test_done();
}
