/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/string.h"
#include "cluster/artifacts.h"
#include "cluster/claim.h"
#include "cluster/settings.h"

/* Decides which cluster a volume belongs to, and what may be done with this volume and bucket.
 *
 * The order of a first boot. A crash is safe after each step:
 *
 *     1. an identity, pending, on the volume: a cluster id that is new and random
 *     2. the claim in the bucket, which names that id and the volume
 *     3. the files of a new generation
 *     4. the index, conditionally: from here on the cluster's keys are these
 *     5. the identity complete, with the fingerprint of the CA; only then does etcd start
 */

#define LINEAGE_IDENTITY_BYTES_MAX ((size_t) 4 << 10)

/* The identity file on the master volume. Nothing in it is secret. */
typedef struct LineageIdentity {
        char cluster_name[64];
        char cluster_id[40];
        char ca_sha256[65]; /* fingerprint of the Kubernetes CA: "" while pending */
        char replaces[40];  /* pending: the cluster whose index a person chose to replace, or "" */
        char created[24];
        ClusterSettings settings;
        bool complete;
        bool etcd_member; /* etcd was healthy on this volume; if its data is missing, it was lost */
} LineageIdentity;

/* Parses strictly, as artifacts_index_parse() does. */
int lineage_identity_parse(const void *data, size_t n, LineageIdentity *ret, Error *err);
int lineage_identity_format(const LineageIdentity *identity, Buffer *ret, Error *err);

typedef enum LineageVolume {
        LINEAGE_VOLUME_BLANK,    /* a filesystem without identity, without an etcd member */
        LINEAGE_VOLUME_PENDING,  /* a first boot (or new keys) that was begun here */
        LINEAGE_VOLUME_COMPLETE, /* a cluster's data */
        LINEAGE_VOLUME_FOREIGN,  /* the identity has another cluster's name */
        LINEAGE_VOLUME_ORPHAN,   /* an etcd member without an identity */
        _LINEAGE_VOLUME_MAX,
        _LINEAGE_VOLUME_INVALID = -EINVAL,
} LineageVolume;

/* An index is "ours" if it names the cluster id of the volume's identity, a claim if it names that
 * and the volume. A bucket that
 * only has files that no index names counts as empty: nobody reads those files, and generations
 * never share a name. */
typedef enum LineageBucket {
        LINEAGE_BUCKET_EMPTY,      /* neither index nor claim */
        LINEAGE_BUCKET_CLAIM_OURS, /* of this cluster id and volume, from any instance */
        LINEAGE_BUCKET_CLAIM_LIVE, /* another claim, whose holder may still continue */
        LINEAGE_BUCKET_CLAIM_DEAD, /* another claim, for this volume, of an ended (or this) instance
                                    */
        LINEAGE_BUCKET_CLAIM_DEAD_FAR, /* the same, but for another volume */
        LINEAGE_BUCKET_INDEX_OURS,
        LINEAGE_BUCKET_INDEX_REPLACED, /* of the cluster that a person chose to replace */
        LINEAGE_BUCKET_INDEX_OTHER_CA, /* our cluster id, but not the CA the volume knows */
        LINEAGE_BUCKET_INDEX_OTHER,
        _LINEAGE_BUCKET_MAX,
        _LINEAGE_BUCKET_INVALID = -EINVAL,
} LineageBucket;

typedef enum LineageOutcome {
        LINEAGE_REFUSE,    /* touch nothing; lineage_refusal() says why */
        LINEAGE_WAIT,      /* until the claim's holder writes the index, or ends */
        LINEAGE_BEGIN,     /* write a pending identity, then as RESUME */
        LINEAGE_RESUME,    /* write claim, files, index */
        LINEAGE_TAKE_OVER, /* replace the dead claim; then as BEGIN, or RESUME if one is pending */
        LINEAGE_COMPLETE,  /* the index exists: make the identity complete */
        LINEAGE_FETCH,     /* nothing to decide: fetch the files of the index */
        _LINEAGE_OUTCOME_MAX,
        _LINEAGE_OUTCOME_INVALID = -EINVAL,
} LineageOutcome;

const char *lineage_volume_to_string(LineageVolume volume);
const char *lineage_bucket_to_string(LineageBucket bucket);
const char *lineage_outcome_to_string(LineageOutcome outcome);

/* Decisions that only a person may make: flags of `run`. A flag changes only the cells that name
 * it. */
typedef enum LineageFlag {
        LINEAGE_NEW_CLUSTER = 1 << 0,
        LINEAGE_NEW_KEYS = 1 << 1,
        LINEAGE_TAKEOVER = 1 << 2,
} LineageFlag;

/* Everything the decision looks at. Pointers are borrowed; NULL where there is none. */
typedef struct LineageScene {
        const char *cluster_name; /* CLUSTER_NAME */
        const char *volume_id;
        const char *instance_id; /* this one */
        const char *bucket_url;  /* s3://BUCKET/PREFIX, for messages */
        const LineageIdentity *identity;
        bool etcd_member; /* etcd's data is on the volume now */
        const ArtifactsIndex *index;
        const Claim *claim; /* decides nothing where there is an index */
        bool holder_gone;   /* claim_holder_is_gone() of the claim's instance */
        const char *holder_state;
} LineageScene;

LineageVolume lineage_volume(const LineageScene *scene);
LineageBucket lineage_bucket(const LineageScene *scene);

/* Returns true if the settings of the volume's identity are in use: certificates or etcd's data
 * were made with them. Before that they follow stack-config.sh. */
bool lineage_settings_are_fixed(const LineageScene *scene);

/* Returns the outcome of the table's cell for the scene's volume and bucket, with these flags. */
LineageOutcome lineage_decide(const LineageScene *scene, unsigned flags);

/* Returns the outcome of a given cell, as lineage_decide() does. ret_flag may be NULL; *ret_flag is
 * the flag that would change the outcome, 0 if none does. */
LineageOutcome lineage_cell(LineageVolume volume, LineageBucket bucket, unsigned flags,
                            LineageFlag *ret_flag);

/* Fills *err (ERROR_UNSAFE) for LINEAGE_REFUSE, with what was found in volume and bucket, what does
 * not fit, and what a person can do. */
int lineage_refusal(const LineageScene *scene, Error *err);
