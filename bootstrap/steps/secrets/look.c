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
        secrets_index_done(&scene->index);
}

/* Without the volume its mount point is an empty folder, which looks like a blank volume. */
static int check_mounted(Error *err)
{
        MountState state;
        int r = mount_look(MASTER_MOUNT_POINT, &state, err);
        if (r >= 0 && !state.mounted) {
                return error_set(err, ERROR_RETRY, ENOENT,
                                 "the master volume is not mounted at " MASTER_MOUNT_POINT);
        }
        return r;
}

/* 1 or 0; a disk that cannot tell is an error, never "absent". */
static int exists(const char *path, Error *err)
{
        struct stat st;
        if (lstat(path, &st) == 0) {
                return 1;
        }
        return errno == ENOENT ? 0 : error_errno(err, errno, "stat %s", path);
}

int secrets_look_at_volume(SecretsScene *ret, Error *err)
{
        int r = check_mounted(err);
        if (r < 0) {
                return r;
        }
        r = exists(MASTER_ETCD_DATA "/member", err);
        if (r < 0) {
                return r;
        }
        ret->scene.etcd_member = r > 0;
        r = exists(MASTER_IDENTITY_FILE, err);
        if (r <= 0) {
                return r;
        }
        _cleanup_buffer_ Buffer text = {};
        r = file_read(MASTER_IDENTITY_FILE, LINEAGE_IDENTITY_BYTES_MAX, &text, err);
        if (r >= 0) {
                r = lineage_identity_parse(text.data, text.size, &ret->identity, err);
        }
        if (r < 0) {
                return error_prefix(err, MASTER_MOUNT_POINT);
        }
        ret->scene.identity = &ret->identity;
        return 0;
}

static int look_at_claim(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        int r = secrets_get(boot, context, ARTIFACTS_CLAIM_NAME, CLAIM_BYTES_MAX, &text,
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

/* Whether another's claim can still lead to something is EC2's to say. */
static int look_at_holder(const Boot *boot, StepContext *context, SecretsScene *ret, Error *err)
{
        int r = ec2_describe_instance_state(boot->aws, ret->claim.instance_id, step_wait(context),
                                            ret->holder_state, err);
        if (r < 0) {
                return error_prefix(err, "whether %s, which claims %s, still lives",
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
        int r = secrets_get_index(boot, context, &ret->index, err);
        if (r < 0) {
                return r;
        }
        if (r > 0) {
                ret->scene.index = &ret->index.index;
        }
        /* With a volume and an index that belong together, one GET is all that a boot costs. */
        if (ret->scene.index && ret->scene.identity && ret->identity.complete) {
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
        int r = secrets_look_at_volume(ret, err);
        return r < 0 ? r : look_at_bucket(boot, context, ret, err);
}

int secrets_check_settings(const StackConfig *config, const SecretsScene *scene, Error *err)
{
        return lineage_settings_are_fixed(&scene->scene)
                       ? settings_check(config, &scene->identity.settings, MASTER_IDENTITY_FILE,
                                        err)
                       : 0;
}

int secrets_write_identity(const LineageIdentity *identity, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        int r = lineage_identity_format(identity, &text, err);
        return r < 0 ? r : file_write(MASTER_IDENTITY_FILE, text.data, text.size, 0644, err);
}
