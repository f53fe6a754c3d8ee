/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>

#include "aws/ec2.h"
#include "base/file.h"
#include "host/mount.h"
#include "steps/secrets/secrets_internal.h"
#include "steps/settings.h"

/* Looking at a master's volume and bucket, before anything is decided. */

void secrets_scene_done(SecretsScene *scene)
{
        bucket_index_done(&scene->index);
}

static int look_at_claim(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        int r = bucket_get(boot, context, ARTIFACTS_CLAIM_NAME, CLAIM_BYTES_MAX, &text,
                           ret->claim_etag, err);
        if (r <= 0) {
                return r;
        }
        r = claim_parse(text.data, text.size, &ret->claim, err);
        if (r < 0) {
                return error_prefix(err, "%s", ret->url);
        }
        ret->scene.claim = &ret->claim;
        return 0;
}

/* Asks EC2 if the instance that holds the claim can still go on. */
static int look_at_holder(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err)
{
        int r = ec2_describe_instance_state(boot->aws, ret->claim.instance_id, step_wait(context),
                                            ret->holder_state, err);
        if (r < 0) {
                return error_prefix(err, "check whether instance %s, which claims %s, still exists",
                                    ret->claim.instance_id, ret->url);
        }
        if (r == 0) {
                (void) snprintf(ret->holder_state, sizeof(ret->holder_state), "unknown to EC2");
        }
        ret->scene.holder_state = ret->holder_state;
        ret->scene.holder_gone = claim_holder_is_gone(r > 0, ret->holder_state);
        return 0;
}

static int look_at_bucket(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err)
{
        int r = bucket_get_index(boot, context, &ret->index, err);
        if (r < 0) {
                return r;
        }
        if (r > 0) {
                ret->scene.index = &ret->index.index;
        }
        /* The claim does not matter if there is an index and the volume's identity is complete. So
         * one GET is all that a boot usually costs. */
        if (ret->scene.index && ret->scene.identity && ret->volume.identity.complete) {
                return 0;
        }
        r = look_at_claim(boot, context, ret, err);
        if (r < 0) {
                return r;
        }
        return lineage_bucket(&ret->scene) == LINEAGE_BUCKET_CLAIM_LIVE
                       ? look_at_holder(boot, context, ret, err)
                       : 0;
}

int secrets_look(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err)
{
        const StackConfig *config = &boot->config;
        (void) snprintf(ret->url, sizeof(ret->url), "s3://%s/%s", config->s3_bucket,
                        config->s3_prefix); /* cut where it is too long: for people only */
        ret->scene.cluster_name = config->cluster_name;
        ret->scene.volume_id = config->master_volume_id;
        ret->scene.instance_id = boot->identity.instance_id;
        ret->scene.bucket_url = ret->url;
        int r = volume_identity_look(&ret->volume, err);
        if (r < 0) {
                return r;
        }
        ret->scene.etcd_member = ret->volume.etcd_member;
        ret->scene.identity = ret->volume.exists ? &ret->volume.identity : NULL;
        return look_at_bucket(boot, context, ret, err);
}
