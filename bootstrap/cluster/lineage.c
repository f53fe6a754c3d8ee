/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/lineage.h"

#include <errno.h>

#include "cluster/document.h"

#define WHAT "cluster-identity.json"

static const DocumentField identity_fields[] = {
        DOCUMENT_STRING(LineageIdentity, cluster_name, DOCUMENT_NAME),
        DOCUMENT_STRING(LineageIdentity, cluster_id, DOCUMENT_CLUSTER_ID),
        DOCUMENT_OPTIONAL(LineageIdentity, ca_sha256, DOCUMENT_SHA256),
        DOCUMENT_OPTIONAL(LineageIdentity, replaces, DOCUMENT_CLUSTER_ID),
        DOCUMENT_STRING(LineageIdentity, created, DOCUMENT_TIME),
        SETTINGS_FIELDS(LineageIdentity, settings),
};

static const char *const volume_names[_LINEAGE_VOLUME_MAX] = {
        [LINEAGE_VOLUME_BLANK] = "blank",       [LINEAGE_VOLUME_PENDING] = "pending",
        [LINEAGE_VOLUME_COMPLETE] = "complete", [LINEAGE_VOLUME_FOREIGN] = "foreign",
        [LINEAGE_VOLUME_ORPHAN] = "orphan",
};

static const char *const bucket_names[_LINEAGE_BUCKET_MAX] = {
        [LINEAGE_BUCKET_EMPTY] = "empty",
        [LINEAGE_BUCKET_CLAIM_OURS] = "claim-ours",
        [LINEAGE_BUCKET_CLAIM_LIVE] = "claim-live",
        [LINEAGE_BUCKET_CLAIM_DEAD] = "claim-dead",
        [LINEAGE_BUCKET_CLAIM_DEAD_FAR] = "claim-dead-other-volume",
        [LINEAGE_BUCKET_INDEX_OURS] = "index-ours",
        [LINEAGE_BUCKET_INDEX_REPLACED] = "index-replaced",
        [LINEAGE_BUCKET_INDEX_OTHER_CA] = "index-other-ca",
        [LINEAGE_BUCKET_INDEX_OTHER] = "index-other",
};

static const char *const outcome_names[_LINEAGE_OUTCOME_MAX] = {
        [LINEAGE_REFUSE] = "refuse",      [LINEAGE_WAIT] = "wait",
        [LINEAGE_BEGIN] = "begin",        [LINEAGE_RESUME] = "resume",
        [LINEAGE_TAKE_OVER] = "takeover", [LINEAGE_COMPLETE] = "complete",
        [LINEAGE_FETCH] = "fetch",
};

/* Reasons of a refusal: what does not fit, and what a person can do about it. */
typedef enum Reason {
        REASON_NONE,
        REASON_FOREIGN,
        REASON_BLANK_BUT_SECRETS,
        REASON_DATA_BUT_NO_SECRETS,
        REASON_DATA_BUT_NO_IDENTITY,
        REASON_DATA_BUT_CLAIMED,
        REASON_CLAIM_OF_OTHER_VOLUME,
        REASON_OTHER_CLUSTER,
        REASON_OTHER_CA,
        REASON_ORPHAN_BUT_SECRETS,
        REASON_CONTRADICTION,
        _REASON_MAX,
} Reason;

static const char *const reasons[_REASON_MAX] = {
        [REASON_NONE] = "",
        [REASON_FOREIGN] = "the volume belongs to a cluster of another name. Correct CLUSTER_NAME "
                           "or MASTER_VOLUME_ID",
        [REASON_BLANK_BUT_SECRETS] =
                "a cluster exists, and its data is not on this volume. Correct MASTER_VOLUME_ID, "
                "or restore the volume from a snapshot, or let a new cluster take the place of "
                "that one: kube-bootstrap run --new-cluster",
        [REASON_DATA_BUT_NO_SECRETS] =
                "the cluster's data has lost its secrets. Correct S3_BUCKET and S3_PREFIX, or "
                "restore an earlier version of index.json, or make new secrets over the data: "
                "kube-bootstrap run --new-keys (nodes and clients must join anew, and Secrets "
                "encrypted under the lost key stay unreadable)",
        [REASON_DATA_BUT_NO_IDENTITY] =
                "nothing tells whose data this is. Correct MASTER_VOLUME_ID, or put the volume's "
                "cluster-identity.json back, or make new secrets over the data: kube-bootstrap "
                "run --new-keys",
        [REASON_DATA_BUT_CLAIMED] =
                "another cluster is being made where this one's secrets should be. Correct "
                "S3_BUCKET and S3_PREFIX; if that instance is no master of yours, end it and "
                "remove the claim",
        [REASON_CLAIM_OF_OTHER_VOLUME] =
                "an instance that is gone began a cluster on another volume. Correct "
                "MASTER_VOLUME_ID, or begin on this one: kube-bootstrap run --takeover",
        [REASON_OTHER_CLUSTER] = "they belong to two clusters. Correct S3_BUCKET and S3_PREFIX, or "
                                 "MASTER_VOLUME_ID; or restore the earlier version of index.json",
        [REASON_OTHER_CA] = "the secrets are not those that this volume's cluster was made with. "
                            "Restore the earlier version of index.json",
        [REASON_ORPHAN_BUT_SECRETS] =
                "nothing tells whether this data is that cluster's. Correct MASTER_VOLUME_ID, or "
                "put the volume's cluster-identity.json back",
        [REASON_CONTRADICTION] = "this cannot be, and is a bug of kube-bootstrap",
};

typedef struct Cell {
        LineageOutcome outcome;
        Reason reason;    /* of a refusal */
        LineageFlag flag; /* changes the outcome to `flagged`; 0: none does */
        LineageOutcome flagged;
} Cell;

/* clang-format off */
#define GO(what)                    { .outcome = LINEAGE_##what }
#define REFUSE(why)                 { .outcome = LINEAGE_REFUSE, .reason = REASON_##why }
#define UNLESS(why, with_flag, then) \
        { .outcome = LINEAGE_REFUSE, .reason = REASON_##why, \
          .flag = LINEAGE_##with_flag, .flagged = LINEAGE_##then }
#define BUCKET(state)               [LINEAGE_BUCKET_##state]

/* THE table. A live claim is waited for or refused, and never taken over: while EC2 says that the
 * claim's holder may continue, no flag changes this, however old the claim is. */
static const Cell cells[_LINEAGE_VOLUME_MAX][_LINEAGE_BUCKET_MAX] = {
        [LINEAGE_VOLUME_BLANK] = {
                BUCKET(EMPTY)          = GO(BEGIN),
                BUCKET(CLAIM_OURS)     = REFUSE(CONTRADICTION), /* no identity: nothing is ours */
                BUCKET(CLAIM_LIVE)     = GO(WAIT),
                BUCKET(CLAIM_DEAD)     = GO(TAKE_OVER),
                BUCKET(CLAIM_DEAD_FAR) = UNLESS(CLAIM_OF_OTHER_VOLUME, TAKEOVER, TAKE_OVER),
                BUCKET(INDEX_OURS)     = REFUSE(CONTRADICTION),
                BUCKET(INDEX_REPLACED) = REFUSE(CONTRADICTION),
                BUCKET(INDEX_OTHER_CA) = REFUSE(CONTRADICTION),
                BUCKET(INDEX_OTHER)    = UNLESS(BLANK_BUT_SECRETS, NEW_CLUSTER, BEGIN),
        },
        [LINEAGE_VOLUME_PENDING] = {
                BUCKET(EMPTY)          = GO(RESUME),
                BUCKET(CLAIM_OURS)     = GO(RESUME),
                BUCKET(CLAIM_LIVE)     = GO(WAIT),
                BUCKET(CLAIM_DEAD)     = GO(TAKE_OVER),
                BUCKET(CLAIM_DEAD_FAR) = UNLESS(CLAIM_OF_OTHER_VOLUME, TAKEOVER, TAKE_OVER),
                BUCKET(INDEX_OURS)     = GO(COMPLETE),
                BUCKET(INDEX_REPLACED) = GO(RESUME),
                BUCKET(INDEX_OTHER_CA) = REFUSE(CONTRADICTION), /* pending knows no CA */
                BUCKET(INDEX_OTHER)    = REFUSE(OTHER_CLUSTER),
        },
        [LINEAGE_VOLUME_COMPLETE] = {
                BUCKET(EMPTY)          = UNLESS(DATA_BUT_NO_SECRETS, NEW_KEYS, BEGIN),
                BUCKET(CLAIM_OURS)     = UNLESS(DATA_BUT_NO_SECRETS, NEW_KEYS, BEGIN),
                BUCKET(CLAIM_LIVE)     = REFUSE(DATA_BUT_CLAIMED),
                BUCKET(CLAIM_DEAD)     = UNLESS(DATA_BUT_NO_SECRETS, NEW_KEYS, TAKE_OVER),
                BUCKET(CLAIM_DEAD_FAR) = REFUSE(DATA_BUT_CLAIMED),
                BUCKET(INDEX_OURS)     = GO(FETCH),
                BUCKET(INDEX_REPLACED) = REFUSE(CONTRADICTION), /* complete replaces nothing */
                BUCKET(INDEX_OTHER_CA) = REFUSE(OTHER_CA),
                BUCKET(INDEX_OTHER)    = REFUSE(OTHER_CLUSTER),
        },
        [LINEAGE_VOLUME_FOREIGN] = {
                BUCKET(EMPTY)          = REFUSE(FOREIGN),
                BUCKET(CLAIM_OURS)     = REFUSE(FOREIGN),
                BUCKET(CLAIM_LIVE)     = REFUSE(FOREIGN),
                BUCKET(CLAIM_DEAD)     = REFUSE(FOREIGN),
                BUCKET(CLAIM_DEAD_FAR) = REFUSE(FOREIGN),
                BUCKET(INDEX_OURS)     = REFUSE(FOREIGN),
                BUCKET(INDEX_REPLACED) = REFUSE(FOREIGN),
                BUCKET(INDEX_OTHER_CA) = REFUSE(FOREIGN),
                BUCKET(INDEX_OTHER)    = REFUSE(FOREIGN),
        },
        [LINEAGE_VOLUME_ORPHAN] = {
                BUCKET(EMPTY)          = UNLESS(DATA_BUT_NO_IDENTITY, NEW_KEYS, BEGIN),
                BUCKET(CLAIM_OURS)     = REFUSE(CONTRADICTION),
                BUCKET(CLAIM_LIVE)     = REFUSE(DATA_BUT_CLAIMED),
                BUCKET(CLAIM_DEAD)     = UNLESS(DATA_BUT_NO_IDENTITY, NEW_KEYS, TAKE_OVER),
                BUCKET(CLAIM_DEAD_FAR) = REFUSE(DATA_BUT_CLAIMED),
                BUCKET(INDEX_OURS)     = REFUSE(CONTRADICTION),
                BUCKET(INDEX_REPLACED) = REFUSE(CONTRADICTION),
                BUCKET(INDEX_OTHER_CA) = REFUSE(CONTRADICTION),
                BUCKET(INDEX_OTHER)    = REFUSE(ORPHAN_BUT_SECRETS),
        },
};
/* clang-format on */

/* Returns true if the fields fit the state: a complete identity has a CA and replaces no cluster; a
 * pending one has no CA yet. */
static bool identity_is_sound(const LineageIdentity *identity)
{
        return identity->complete ? *identity->ca_sha256 && !*identity->replaces
                                  : !*identity->ca_sha256;
}

int lineage_identity_parse(const void *data, size_t n, LineageIdentity *ret, Error *err)
{
        json_auto_t *root = NULL;
        int r = document_parse(WHAT, data, n, LINEAGE_IDENTITY_BYTES_MAX, &root, err);
        if (r < 0) {
                return r;
        }
        LineageIdentity identity = {};
        const json_t *member = json_object_get(root, "etcd_member");
        r = document_read(WHAT, root, identity_fields, ELEMENTS(identity_fields), member ? 3 : 2,
                          &identity, err);
        if (r < 0) {
                return r;
        }
        if (member && !json_is_boolean(member)) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 WHAT ": etcd_member is neither true nor false");
        }
        identity.etcd_member = json_is_true(member);
        const char *state = json_string_value(json_object_get(root, "state"));
        identity.complete = streq_ptr(state, "complete");
        if (!identity.complete && !streq_ptr(state, "pending")) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 WHAT ": state is neither pending nor complete");
        }
        if (!identity_is_sound(&identity)) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 WHAT ": ca_sha256 or replaces does not fit state %s", state);
        }
        *ret = identity;
        return 0;
}

int lineage_identity_format(const LineageIdentity *identity, Buffer *ret, Error *err)
{
        if (!identity_is_sound(identity)) {
                return error_set(err, ERROR_FATAL, EINVAL, WHAT ": state without what it needs");
        }
        json_auto_t *root = json_pack("{s:i, s:s}", "schema", DOCUMENT_SCHEMA, "state",
                                      identity->complete ? "complete" : "pending");
        int r = document_write(WHAT, identity_fields, ELEMENTS(identity_fields), identity, root,
                               err);
        if (r >= 0 && identity->etcd_member &&
            json_object_set_new(root, "etcd_member", json_true()) < 0) {
                return error_oom(err);
        }
        return r < 0 ? r : document_dump(root, ret, err);
}

const char *lineage_volume_to_string(LineageVolume volume)
{
        return volume >= 0 && volume < _LINEAGE_VOLUME_MAX ? volume_names[volume] : NULL;
}

const char *lineage_bucket_to_string(LineageBucket bucket)
{
        return bucket >= 0 && bucket < _LINEAGE_BUCKET_MAX ? bucket_names[bucket] : NULL;
}

const char *lineage_outcome_to_string(LineageOutcome outcome)
{
        return outcome >= 0 && outcome < _LINEAGE_OUTCOME_MAX ? outcome_names[outcome] : NULL;
}

LineageVolume lineage_volume(const LineageScene *scene)
{
        if (!scene->identity) {
                return scene->etcd_member ? LINEAGE_VOLUME_ORPHAN : LINEAGE_VOLUME_BLANK;
        }
        if (!streq(scene->identity->cluster_name, scene->cluster_name)) {
                return LINEAGE_VOLUME_FOREIGN;
        }
        return scene->identity->complete ? LINEAGE_VOLUME_COMPLETE : LINEAGE_VOLUME_PENDING;
}

static LineageBucket bucket_with_index(const LineageIdentity *identity, const ArtifactsIndex *index)
{
        if (!identity) {
                return LINEAGE_BUCKET_INDEX_OTHER;
        }
        if (streq(index->cluster_id, identity->cluster_id)) {
                return identity->complete && !streq(index->ca_sha256, identity->ca_sha256)
                               ? LINEAGE_BUCKET_INDEX_OTHER_CA
                               : LINEAGE_BUCKET_INDEX_OURS;
        }
        return streq(index->cluster_id, identity->replaces) ? LINEAGE_BUCKET_INDEX_REPLACED
                                                            : LINEAGE_BUCKET_INDEX_OTHER;
}

LineageBucket lineage_bucket(const LineageScene *scene)
{
        const Claim *claim = scene->claim;
        if (scene->index) {
                return bucket_with_index(scene->identity, scene->index);
        }
        if (!claim) {
                return LINEAGE_BUCKET_EMPTY;
        }
        bool volume_is_ours = streq(claim->volume_id, scene->volume_id);
        if (volume_is_ours && scene->identity &&
            streq(claim->cluster_id, scene->identity->cluster_id)) {
                return LINEAGE_BUCKET_CLAIM_OURS;
        }
        if (!scene->holder_gone && !streq(claim->instance_id, scene->instance_id)) {
                return LINEAGE_BUCKET_CLAIM_LIVE;
        }
        return volume_is_ours ? LINEAGE_BUCKET_CLAIM_DEAD : LINEAGE_BUCKET_CLAIM_DEAD_FAR;
}

bool lineage_settings_are_fixed(const LineageScene *scene)
{
        const LineageIdentity *identity = scene->identity;
        return identity && (identity->complete || identity->etcd_member || scene->etcd_member ||
                            lineage_bucket(scene) == LINEAGE_BUCKET_INDEX_OURS);
}

LineageOutcome lineage_cell(LineageVolume volume, LineageBucket bucket, unsigned flags,
                            LineageFlag *ret_flag)
{
        const Cell *cell = &cells[volume][bucket];
        if (ret_flag) {
                *ret_flag = cell->flag;
        }
        return cell->flag & flags ? cell->flagged : cell->outcome;
}

LineageOutcome lineage_decide(const LineageScene *scene, unsigned flags)
{
        return lineage_cell(lineage_volume(scene), lineage_bucket(scene), flags, NULL);
}

static int describe_volume(const LineageScene *scene, Buffer *text)
{
        const LineageIdentity *identity = scene->identity;
        if (!identity) {
                return buffer_append_format(
                        text, "volume %s %s", scene->volume_id,
                        scene->etcd_member ? "holds an etcd member and no identity" : "is blank");
        }
        return buffer_append_format(text, "volume %s holds the %s identity of cluster %s (%s)",
                                    scene->volume_id, identity->complete ? "complete" : "pending",
                                    identity->cluster_name, identity->cluster_id);
}

static int describe_bucket(const LineageScene *scene, Buffer *text)
{
        const ArtifactsIndex *index = scene->index;
        const Claim *claim = scene->claim;
        if (index) {
                return buffer_append_format(
                        text, "%s holds the secrets of cluster %s (%s, CA %.16s) for volume %s",
                        scene->bucket_url, index->cluster_name, index->cluster_id, index->ca_sha256,
                        index->volume_id);
        }
        if (claim) {
                return buffer_append_format(
                        text,
                        "%s holds no index.json but a claim by instance %s%s%s of %s for cluster "
                        "%s (%s) on volume %s",
                        scene->bucket_url, claim->instance_id, scene->holder_state ? ", " : "",
                        strempty(scene->holder_state), claim->created, claim->cluster_name,
                        claim->cluster_id, claim->volume_id);
        }
        return buffer_append_format(text, "%s holds no index.json", scene->bucket_url);
}

int lineage_refusal(const LineageScene *scene, Error *err)
{
        LineageVolume volume = lineage_volume(scene);
        LineageBucket bucket = lineage_bucket(scene);
        _cleanup_buffer_ Buffer text = {};
        if (describe_volume(scene, &text) < 0 || buffer_append_string(&text, "; ") < 0 ||
            describe_bucket(scene, &text) < 0) {
                return error_oom(err);
        }
        if (volume == LINEAGE_VOLUME_FOREIGN &&
            buffer_append_format(&text, "; CLUSTER_NAME is %s", scene->cluster_name) < 0) {
                return error_oom(err);
        }
        return error_set(err, ERROR_UNSAFE, EUCLEAN, "%s: %s", text.data,
                         reasons[cells[volume][bucket].reason]);
}
