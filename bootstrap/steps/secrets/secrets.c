/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/secrets/secrets_internal.h"

#include <errno.h>

#include "base/file.h"
#include "cluster/document.h"
#include "host/mount.h"
#include "steps/settings.h"

/* secrets: the first master makes the secrets, every other machine fetches them. cluster/lineage.h
 * decides what may be done with the volume and the bucket, and this file does it. */

#define LOOK_AT_ONCE 2 /* a result of master_act() */

unsigned secrets_flags(const Boot *boot)
{
        unsigned flags = 0;
        if (boot->overrides.new_cluster) {
                flags |= LINEAGE_NEW_CLUSTER;
        }
        if (boot->overrides.new_keys) {
                flags |= LINEAGE_NEW_KEYS;
        }
        if (boot->overrides.takeover) {
                flags |= LINEAGE_TAKEOVER;
        }
        return flags;
}

static int probe_index(Boot *boot, StepContext *context, const BucketIndex *index, Error *err)
{
        int r = secrets_are_installed(boot, context, index, err);
        if (r > 0) {
                memcpy(boot->generation, index->index.generation, sizeof(boot->generation));
                memcpy(boot->cluster_id, index->index.cluster_id, sizeof(boot->cluster_id));
        }
        return r;
}

/* Returns true for an identity from before the settings were recorded. The overlay's settings are
 * left to step flannel-config, which can compare them with etcd's. */
static bool lacks_settings(const SecretsScene *scene)
{
        return !*scene->volume.identity.settings.service_network ||
               !*scene->volume.identity.settings.cluster_domain;
}

/* Records the settings on the volume, if they agree with the certificates, which tell with what
 * settings this cluster was made. */
static int record_settings(const Boot *boot, const SecretsScene *scene, Error *err)
{
        ClusterSettings settings = settings_of(&boot->config);
        LineageIdentity identity = scene->volume.identity;
        int r = settings_check_certificate(&boot->config, err);
        if (r < 0) {
                return r;
        }
        settings.overlay_network[0] = settings.overlay_backend[0] = '\0';
        return settings_complete(&identity.settings, &settings)
                       ? volume_identity_write(&identity, err)
                       : 0;
}

/* Looks at the installed files, and at what they say of the settings. */
static int probe_installed(Boot *boot, StepContext *context, const SecretsScene *scene, Error *err)
{
        int r = probe_index(boot, context, &scene->index, err);
        if (r > 0 && lacks_settings(scene)) {
                r = settings_check_certificate(&boot->config, err); /* 0: to be recorded */
        }
        if (r <= 0) {
                return r;
        }
        r = settings_warn_of_names(&boot->config, context, err);
        return r < 0 ? r : 1;
}

/* Says why a master's secrets are not installed yet: the decision of lineage_decide(). */
static void say_why_none(StepContext *context, const SecretsScene *scene, LineageOutcome outcome)
{
        static const char *const reasons[_LINEAGE_OUTCOME_MAX] = {
                [LINEAGE_WAIT] = "another instance is making them",
                [LINEAGE_BEGIN] = "there are none yet",
                [LINEAGE_RESUME] = "an earlier attempt to make them was interrupted",
                [LINEAGE_TAKE_OVER] = "the instance that began to make them no longer exists",
                [LINEAGE_COMPLETE] = "the volume does not say yet that they are made",
        };
        if (outcome == LINEAGE_WAIT || outcome == LINEAGE_TAKE_OVER) {
                step_not_yet(context, "%s: %s, %s (%s)", scene->url, reasons[outcome],
                             scene->claim.instance_id, scene->holder_state);
        } else if (reasons[outcome]) {
                step_not_yet(context, "%s: %s", scene->url, reasons[outcome]);
        }
}

static int master_probe(Boot *boot, StepContext *context, Error *err)
{
        _cleanup_secrets_scene_ SecretsScene scene = {};
        int r = secrets_look(boot, context, &scene, err);
        if (r < 0) {
                return r;
        }
        LineageOutcome outcome = lineage_decide(&scene.scene, secrets_flags(boot));
        if (outcome == LINEAGE_REFUSE) {
                return lineage_refusal(&scene.scene, err);
        }
        r = settings_check_volume(&boot->config, &scene.scene, err);
        if (r < 0) {
                return r;
        }
        say_why_none(context, &scene, outcome);
        return outcome == LINEAGE_FETCH ? probe_installed(boot, context, &scene, err) : 0;
}

static void say_who_claims(StepContext *context, const SecretsScene *scene)
{
        const Claim *claim = &scene->claim;
        step_waiting_for(context,
                         "instance %s (%s), which has been making the secrets in %s since %s, on "
                         "volume %s: its index.json, or its termination",
                         claim->instance_id, scene->holder_state, scene->url, claim->created,
                         claim->volume_id);
}

static int complete_identity(SecretsScene *scene, Error *err)
{
        LineageIdentity identity = scene->volume.identity;
        identity.complete = true;
        identity.replaces[0] = '\0';
        memcpy(identity.ca_sha256, scene->index.index.ca_sha256, sizeof(identity.ca_sha256));
        return volume_identity_write(&identity, err);
}

/* Does what the table of lineage_decide() says. Returns 1 once the files are here, 0 if another
 * instance must do something first, LOOK_AT_ONCE if this instance did something. */
static int master_act(Boot *boot, StepContext *context, SecretsScene *scene, Error *err)
{
        LineageOutcome outcome = lineage_decide(&scene->scene, secrets_flags(boot));
        int r = outcome == LINEAGE_REFUSE
                        ? 0
                        : settings_check_volume(&boot->config, &scene->scene, err);
        if (r < 0) {
                return r;
        }
        switch (outcome) {
        case LINEAGE_FETCH:
                /* A master downloads also what it has just uploaded: everybody installs in this one
                 * way, so what is installed has been verified against the index. */
                r = secrets_install(boot, context, &scene->index, err);
                if (r >= 0 && lacks_settings(scene)) {
                        r = record_settings(boot, scene, err);
                }
                return r < 0 ? r : 1;
        case LINEAGE_COMPLETE:
                r = complete_identity(scene, err);
                return r < 0 ? r : LOOK_AT_ONCE;
        case LINEAGE_WAIT:
                say_who_claims(context, scene);
                return 0;
        case LINEAGE_BEGIN:
        case LINEAGE_RESUME:
        case LINEAGE_TAKE_OVER:
                r = secrets_make(boot, context, scene, err);
                return r > 0 ? LOOK_AT_ONCE : r; /* 0: someone else was faster */
        default:
                return lineage_refusal(&scene->scene, err);
        }
}

static int master_look_and_act(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        for (;;) {
                _cleanup_secrets_scene_ SecretsScene scene = {};
                int r = secrets_look(boot, context, &scene, err);
                if (r >= 0) {
                        r = master_act(boot, context, &scene, err);
                }
                if (r != LOOK_AT_ONCE) {
                        return r;
                }
        }
}

/* Refuses another cluster's bucket, because a node with it would trust that cluster's CA. Refuses
 * networks or a domain other than the master's, because the node's pods would reach nobody. */
static int check_cluster(const Boot *boot, const BucketIndex *index, Error *err)
{
        if (!streq(index->index.cluster_name, boot->config.cluster_name)) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "s3://%s/%s holds the secrets of cluster %s, but CLUSTER_NAME is "
                                 "%s: correct S3_BUCKET, S3_PREFIX or CLUSTER_NAME in %s",
                                 boot->config.s3_bucket, boot->config.s3_prefix,
                                 index->index.cluster_name, boot->config.cluster_name,
                                 STACK_CONFIG_PATH);
        }
        return settings_check(&boot->config, &index->index.settings,
                              ARTIFACTS_INDEX_NAME " in the bucket", err);
}

static int node_probe(Boot *boot, StepContext *context, Error *err)
{
        _cleanup_bucket_index_ BucketIndex index = {};
        int r = bucket_get_index(boot, context, &index, err);
        if (r == 0) {
                step_not_yet(context,
                             "s3://%s/%s has no index.json: the master has not made the "
                             "secrets yet",
                             boot->config.s3_bucket, boot->config.s3_prefix);
        }
        if (r <= 0) {
                return r;
        }
        r = check_cluster(boot, &index, err);
        return r < 0 ? r : probe_index(boot, context, &index, err);
}

/* Returns 1 once the files are here, 0 while there is no index. */
static int node_look_and_act(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_bucket_index_ BucketIndex index = {};
        int r = bucket_get_index(boot, context, &index, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                step_waiting_for(context,
                                 "index.json in s3://%s/%s, which the master writes once it has "
                                 "made the secrets",
                                 boot->config.s3_bucket, boot->config.s3_prefix);
                return 0;
        }
        r = check_cluster(boot, &index, err);
        if (r >= 0) {
                r = secrets_install(boot, context, &index, err);
        }
        return r < 0 ? r : 1;
}

int secrets_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        return boot->config.role == ROLE_MASTER ? master_probe(boot, context, err)
                                                : node_probe(boot, context, err);
}

int secrets_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        bool master = boot->config.role == ROLE_MASTER;
        int r = step_await(context, master ? master_look_and_act : node_look_and_act, boot,
                           bucket_looks, 0, err);
        return r < 0 ? r : 0;
}
