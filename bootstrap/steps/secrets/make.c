/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "aws/ec2.h"
#include "base/parallel.h"
#include "cluster/document.h"
#include "cluster/pki.h"
#include "steps/secrets/secrets_internal.h"
#include "steps/settings.h"

/* The first boot of a cluster makes identity, claim, files and index, in this order. After a crash
 * at any point the next run finds its own identity and claim, and makes a new generation of files.
 * Nobody reads the unfinished generation. */

#define CLOCK_OFFSET_MAX_S 60

/* Refuses to go on with a wrong clock: its certificates would be not yet valid, or no longer valid,
 * for everyone else. AWS's replies tell the time, over TLS. The kernel tells by adjtimex(2) if the
 * clock is synchronised, but ProtectClock= of our unit forbids that call. */
static int check_clock(const Boot *boot, Error *err)
{
        bool known = false;
        int64_t offset = 0;
        aws_client_clock_offset(boot->aws, &known, &offset);
        if (!known) {
                return error_set(err, ERROR_RETRY, ETIME,
                                 "no AWS reply has given the time yet, which certificates need");
        }
        if (offset < -CLOCK_OFFSET_MAX_S || offset > CLOCK_OFFSET_MAX_S) {
                return error_set(err, ERROR_RETRY, ETIME,
                                 "the clock is %lld s off AWS's: no certificate is made "
                                 "until it is at most %d s",
                                 (long long) offset, CLOCK_OFFSET_MAX_S);
        }
        return 0;
}

/* Makes sure that the volume has a pending identity. A cluster id is drawn once and stays with the
 * volume; new keys do not make a new cluster. The settings follow stack-config.sh until they are
 * fixed; from then on both are equal. */
static int ensure_pending(const Boot *boot, const SecretsScene *scene, LineageIdentity *ret,
                          Error *err)
{
        LineageIdentity identity = scene->volume.identity;
        const ClusterSettings recorded = identity.settings;
        identity.settings = settings_of(&boot->config);
        if (scene->scene.identity && !identity.complete &&
            memcmp(&recorded, &identity.settings, sizeof(recorded)) == 0) {
                *ret = identity;
                return 0;
        }
        if (!scene->scene.identity) {
                int r = artifacts_random_id(identity.cluster_id, err);
                if (r < 0) {
                        return r;
                }
                (void) snprintf(identity.cluster_name, sizeof(identity.cluster_name), "%s",
                                scene->scene.cluster_name);
                document_now(identity.created);
        }
        identity.complete = false;
        identity.ca_sha256[0] = '\0';
        if (scene->scene.index) { /* only if a person decided so: see cluster/lineage.c */
                memcpy(identity.replaces, scene->index.index.cluster_id, sizeof(identity.replaces));
        }
        int r = volume_identity_write(&identity, err);
        if (r >= 0) {
                *ret = identity;
        }
        return r;
}

/* Returns true if the claim is for this cluster and volume, and in our own name. A claim in the
 * name of the instance that began here before us would end with that instance, and another could
 * take it over while we go on. */
static bool claim_is_ours(const Claim *claim, const LineageIdentity *identity,
                          const SecretsScene *scene)
{
        return streq(claim->cluster_id, identity->cluster_id) &&
               streq(claim->volume_id, scene->scene.volume_id) &&
               streq(claim->instance_id, scene->scene.instance_id);
}

static int format_claim(const SecretsScene *scene, const LineageIdentity *identity, Claim *claim,
                        Buffer *ret, Error *err)
{
        (void) snprintf(claim->cluster_name, sizeof(claim->cluster_name), "%s",
                        identity->cluster_name);
        (void) snprintf(claim->cluster_id, sizeof(claim->cluster_id), "%s", identity->cluster_id);
        (void) snprintf(claim->volume_id, sizeof(claim->volume_id), "%s", scene->scene.volume_id);
        (void) snprintf(claim->instance_id, sizeof(claim->instance_id), "%s",
                        scene->scene.instance_id);
        document_now(claim->created);
        int r = artifacts_random_id(claim->nonce, err);
        return r < 0 ? r : claim_format(claim, ret, err);
}

/* Reads the claim back. Returns 1 if it is ours (*ret_text), else 0. */
static int make_read_back(const Boot *boot, StepContext *context, const SecretsScene *scene,
                          const LineageIdentity *identity, Buffer *ret_text, Error *err)
{
        Claim found = {};
        int r = bucket_get(boot, context, ARTIFACTS_CLAIM_NAME, CLAIM_BYTES_MAX, ret_text, NULL,
                           err);
        if (r <= 0) {
                return r;
        }
        r = claim_parse(ret_text->data, ret_text->size, &found, err);
        if (r < 0) {
                return error_prefix(err, "%s", scene->url);
        }
        return claim_is_ours(&found, identity, scene);
}

/* Refuses a store that ignores conditions, as some stores that speak S3 do: two masters could each
 * believe that they are the first. The store is asked to write the claim a second time, and must
 * refuse. */
static int check_conditions(const Boot *boot, StepContext *context, const Buffer *claim, Error *err)
{
        int r = bucket_put(boot, context, ARTIFACTS_CLAIM_NAME, claim, S3_IF_ABSENT, NULL, err);
        if (r > 0) {
                return error_set(err, ERROR_CONFIG, ENOTSUP,
                                 "S3_BUCKET=%s: the store overwrote %s although the request had "
                                 "If-None-Match: two masters could each make a cluster there",
                                 boot->config.s3_bucket, ARTIFACTS_CLAIM_NAME);
        }
        return r;
}

/* Returns 1 once the claim is ours, 0 if it is another's. The decision was made for the claim that
 * was seen (or for none), so no other claim is written over. If an answer was lost, S3 may say that
 * the write failed although the claim is ours, so the claim is always read back. */
static int hold_claim(const Boot *boot, StepContext *context, const SecretsScene *scene,
                      const LineageIdentity *identity, Error *err)
{
        const Claim *old = scene->scene.claim;
        if (!old || !claim_is_ours(old, identity, scene)) {
                Claim claim = {};
                _cleanup_buffer_ Buffer text = {};
                int r = format_claim(scene, identity, &claim, &text, err);
                if (r >= 0) {
                        r = bucket_replace(boot, context, ARTIFACTS_CLAIM_NAME, &text,
                                           old ? scene->claim_etag : NULL, err);
                }
                if (r < 0) {
                        return r;
                }
        }
        _cleanup_buffer_ Buffer text = {};
        int r = make_read_back(boot, context, scene, identity, &text, err);
        if (r <= 0) {
                return r;
        }
        r = check_conditions(boot, context, &text, err);
        return r < 0 ? r : 1;
}

static int make_files(Boot *boot, StepContext *context, PkiFiles *ret, Error *err)
{
        const StackConfig *config = &boot->config;
        int r = boot_look_at_elastic_ip(boot, step_wait(context), err);
        if (r < 0) {
                return r;
        }
        boot->elastic_ip_is_fresh = !boot_has_elastic_ip(boot);
        char private_ip[INET_ADDRSTRLEN];
        (void) inet_ntop(AF_INET, &config->master_private_ip, private_ip, sizeof(private_ip));
        const PkiFacts facts = {
                .cluster_name = config->cluster_name,
                .public_ip = boot->elastic_ip.public_ip,
                .private_ip = private_ip,
                .service_network = config->service_network,
                .cluster_domain = config->cluster_domain,
                .api_dns_name = config->api_dns_name,
                .runtime = boot->images.runtime,
                .now = time(NULL),
        };
        return pki_make(&facts, ret, err);
}

typedef struct Upload {
        const Boot *boot;
        StepContext *context;
        const PkiFiles *files;
        const ArtifactsIndex *index; /* its files stand in the same order */
} Upload;

static int upload_one(void *userdata, size_t i, Error *err)
{
        const Upload *upload = userdata;
        return bucket_put(upload->boot, upload->context, upload->index->files[i].key,
                          &upload->files->files[i].content, S3_UNCONDITIONAL, NULL, err);
}

static int upload_files(const Boot *boot, StepContext *context, const PkiFiles *files,
                        ArtifactsIndex *index, Error *err)
{
        memcpy(index->ca_sha256, files->ca_sha256, sizeof(index->ca_sha256));
        FOREACH_ARRAY(file, files->files, files->n) {
                int r = artifacts_index_add(index, file->folder, file->name, file->mode,
                                            file->content.data, file->content.size, err);
                if (r < 0) {
                        return r;
                }
        }
        Upload upload = { .boot = boot, .context = context, .files = files, .index = index };
        step_waiting_for(context, "S3: upload of %zu files", files->n);
        return parallel_do(files->n, upload_one, &upload, err);
}

/* Writes the index: from here on these are the cluster's keys. Only one index can be the first. */
static int publish(const Boot *boot, StepContext *context, const SecretsScene *scene,
                   const ArtifactsIndex *index, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        int r = artifacts_index_format(index, &text, err);
        if (r < 0) {
                return r;
        }
        return bucket_replace(boot, context, ARTIFACTS_INDEX_NAME, &text,
                              scene->scene.index ? scene->index.etag : NULL, err);
}

static int describe_index(const SecretsScene *scene, const LineageIdentity *identity,
                          ArtifactsIndex *index, Error *err)
{
        index->revision = scene->scene.index ? scene->index.index.revision + 1 : 1;
        memcpy(index->cluster_name, identity->cluster_name, sizeof(index->cluster_name));
        memcpy(index->cluster_id, identity->cluster_id, sizeof(index->cluster_id));
        index->settings = identity->settings;
        (void) snprintf(index->volume_id, sizeof(index->volume_id), "%s", scene->scene.volume_id);
        document_now(index->created);
        return artifacts_generation_new(index->generation, err);
}

int secrets_make(Boot *boot, StepContext *context, const SecretsScene *scene, Error *err)
{
        _cleanup_pki_files_ PkiFiles files = {};
        _cleanup_artifacts_index_ ArtifactsIndex index = {};
        LineageIdentity identity = {};
        int r = check_clock(boot, err);
        if (r >= 0) {
                r = ensure_pending(boot, scene, &identity, err);
        }
        if (r >= 0) {
                step_waiting_for(context, "S3: claim of %s", scene->url);
                r = hold_claim(boot, context, scene, &identity, err);
        }
        if (r <= 0) {
                return r;
        }
        r = describe_index(scene, &identity, &index, err);
        if (r >= 0) {
                r = make_files(boot, context, &files, err);
        }
        if (r >= 0) {
                r = upload_files(boot, context, &files, &index, err);
        }
        return r < 0 ? r : publish(boot, context, scene, &index, err);
}
