/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/volume/format_internal.h"

#include <errno.h>
#include <stdio.h>

#include "aws/ec2.h"
#include "base/digest.h"
#include "cluster/claim.h"
#include "cluster/document.h"
#include "steps/bucket.h"

/* volume-format: makes the filesystem of a volume that is proven new, and of no other.
 *
 * A volume that reads as zeros is new if nothing in the bucket names it. So is a volume that reads
 * as random bytes, if EC2 also says that it is encrypted, and was made from no snapshot and by the
 * stack that STACK_NAME names: blocks of an encrypted volume that nobody has written are the
 * decryption of zeros (kubernetes#86064, bottlerocket#4855). Before the first write a record in the
 * bucket says `formatting`, and it says `formatted` before anything is kept on the volume. */

/* The label is "kb-" and the first hex digits of the SHA-256 of the cluster's name, to fit ext4's
 * 16 bytes. So another cluster's disk is foreign. */
#define LABEL_HASH_DIGITS 12
#define LABEL_MAX         (3 + LABEL_HASH_DIGITS + 1)

/* The facts that the decision looks at, and those that a refusal tells. */
typedef struct Look {
        FormatScene scene;
        char label[LABEL_MAX];
        DiskProbe probe;
        FormatRecord record;
        char etag[S3_ETAG_MAX]; /* of the record */
        char not_new[256];      /* why EC2 or the bucket do not prove it new */
} Look;

static void make_label(const StackConfig *config, char ret[LABEL_MAX])
{
        char hex[DIGEST_HEX_MAX];
        digest_sha256_hex(config->cluster_name, strlen(config->cluster_name), hex);
        (void) snprintf(ret, LABEL_MAX, "kb-%.*s", LABEL_HASH_DIGITS, hex);
}

FormatOutcome format_decide(const FormatScene *scene)
{
        bool formatted = scene->has_record && scene->state == FORMAT_FORMATTED;
        bool formatting = scene->has_record && scene->state == FORMAT_FORMATTING;
        switch (scene->content) {
        case DISK_OURS: /* without a record: made before there were records */
                return formatting ? FORMAT_SETTLE : FORMAT_DONE;
        case DISK_BLANK:
                return scene->given_up || (!formatted && !scene->named) ? FORMAT_MAKE
                                                                        : FORMAT_REFUSE;
        case DISK_INTERRUPTED:
                return scene->given_up || !formatted ? FORMAT_MAKE : FORMAT_REFUSE;
        case DISK_NOISE: /* a record `formatting` alone may have been for a disk of zeros */
                return scene->given_up || (!formatted && !scene->named && scene->is_stacks_own)
                               ? FORMAT_MAKE
                               : FORMAT_REFUSE;
        case DISK_UNRECOGNISED:
                return scene->given_up ? FORMAT_MAKE : FORMAT_REFUSE;
        default:
                return FORMAT_REFUSE;
        }
}

/* Puts the object's address before a message about what is in it, and what to do after it. */
static int name_object(const Boot *boot, const char *name, Error *err)
{
        char said[ERROR_MESSAGE_MAX];
        (void) snprintf(said, sizeof(said), "%s", err->message);
        (void) snprintf(err->message, sizeof(err->message),
                        "s3://%s/%s/%s: %.600s. Restore an earlier version of that object, or "
                        "delete it if nothing was kept on the volume",
                        boot->config.s3_bucket, boot->config.s3_prefix, name, said);
        return -err->error;
}

/* Reads the record again, and forgets what was known of it. */
static int get_record(const Boot *boot, StepContext *context, Look *look, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        char name[FORMAT_RECORD_NAME_MAX];
        look->scene.has_record = false;
        look->record = (FormatRecord) {};
        format_record_name(boot->config.master_volume_id, name);
        int r = bucket_get(boot, context, name, FORMAT_RECORD_BYTES_MAX, &text, look->etag, err);
        if (r <= 0) {
                return r;
        }
        r = format_record_parse(text.data, text.size, &look->record, err);
        if (r >= 0 && !streq(look->record.volume_id, boot->config.master_volume_id)) {
                r = error_set(err, ERROR_UNSAFE, EBADMSG, "the record is about volume %s",
                              look->record.volume_id);
        }
        if (r < 0) {
                return name_object(boot, name, err);
        }
        look->scene.has_record = true;
        look->scene.state = look->record.state;
        return 0;
}

/* Asks the bucket whether a cluster's claim or index names the volume. */
static int look_for_name(const Boot *boot, StepContext *context, Look *look, Error *err)
{
        const char *id = boot->config.master_volume_id, *found = NULL;
        _cleanup_bucket_index_ BucketIndex index = {};
        int r = bucket_get_index(boot, context, &index, err);
        if (r < 0) {
                return r;
        }
        if (r > 0 && streq(index.index.volume_id, id)) {
                found = ARTIFACTS_INDEX_NAME;
        }
        _cleanup_buffer_ Buffer text = {};
        Claim claim = {};
        r = bucket_get(boot, context, ARTIFACTS_CLAIM_NAME, CLAIM_BYTES_MAX, &text, NULL, err);
        if (r < 0) {
                return r;
        }
        if (r > 0 && claim_parse(text.data, text.size, &claim, err) < 0) {
                return name_object(boot, ARTIFACTS_CLAIM_NAME, err);
        }
        found = streq(claim.volume_id, id) ? ARTIFACTS_CLAIM_NAME : found;
        look->scene.named = found != NULL;
        if (found) {
                (void) snprintf(look->not_new, sizeof(look->not_new),
                                "%s in s3://%s/%s names it: a cluster was made on it", found,
                                boot->config.s3_bucket, boot->config.s3_prefix);
        }
        return 0;
}

/* Looks in EC2's description if the volume is encrypted, was made from no snapshot, and can only
 * have been made by this stack. None of this can change, so step volume-attach's look is enough. */
static void look_at_origin(const Boot *boot, Look *look)
{
        const Ec2Volume *volume = &boot->ec2_volume;
        const char *stack = strempty(boot->config.stack_name);
        char *why = look->not_new;
        size_t n = sizeof(look->not_new);
        if (!volume->encrypted) {
                (void) snprintf(why, n,
                                "it is not encrypted, and only a new encrypted volume "
                                "reads so");
        } else if (volume->snapshot_id[0]) {
                (void) snprintf(why, n, "it was made from %s", volume->snapshot_id);
        } else if (!string_starts_with(stack, "arn:")) {
                (void) snprintf(why, n,
                                "STACK_NAME in " STACK_CONFIG_PATH " is \"%.60s\", not a stack's "
                                "id, so nothing tells that this stack made it",
                                stack);
        } else if (!streq(volume->stack_id, stack)) {
                (void) snprintf(why, n,
                                "its tag " EC2_TAG_STACK_ID " is \"%.140s\", not STACK_NAME",
                                volume->stack_id);
        } else {
                look->scene.is_stacks_own = true;
        }
}

/* Looks at the disk and at its record and, if these do not decide, at what EC2 and the bucket say
 * of the volume. Writes nothing. */
static int look_at_volume(const Boot *boot, StepContext *context, Look *look, Error *err)
{
        make_label(&boot->config, look->label);
        int r = filesystem_probe(&boot->volume, look->label, step_wait(context), &look->probe, err);
        if (r < 0) {
                return error_prefix(err, "volume %s", boot->config.master_volume_id);
        }
        look->scene.content = look->probe.content;
        look->scene.given_up = boot->overrides.format_volume;
        r = get_record(boot, context, look, err);
        bool formatted = look->scene.has_record && look->scene.state == FORMAT_FORMATTED;
        if (r < 0 || formatted || look->scene.given_up) {
                return r; /* the rest would decide nothing */
        }
        if (look->scene.content == DISK_NOISE) {
                look_at_origin(boot, look);
        }
        if (r >= 0 && (look->scene.content == DISK_NOISE || look->scene.content == DISK_BLANK)) {
                r = look_for_name(boot, context, look, err);
        }
        return r < 0 ? r : 0;
}

/* Writes why the content of the volume does not allow a format. */
static void say_why(const StackConfig *config, const Look *look, char *ret, size_t size)
{
        if (look->scene.content == DISK_FOREIGN) {
                (void) snprintf(ret, size,
                                ": expected nothing, or this cluster's ext4 labelled \"%s\" "
                                "(CLUSTER_NAME %s)",
                                look->label, config->cluster_name);
        } else if (look->scene.has_record && look->scene.state == FORMAT_FORMATTED) {
                (void) snprintf(ret, size,
                                ", but was formatted on %s (UUID %s): its filesystem is damaged or "
                                "was erased",
                                look->record.created, look->record.uuid);
        } else if (look->scene.has_record && !look->not_new[0]) {
                (void) snprintf(ret, size,
                                ", though instance %s began to format it on %s: it has changed "
                                "since, or has grown",
                                look->record.instance_id, look->record.created);
        } else {
                (void) snprintf(ret, size, ", and is not proven new%s%s",
                                look->not_new[0] ? ": " : "", look->not_new);
        }
}

static int format_refuse(const Boot *boot, const Look *look, Error *err)
{
        const StackConfig *config = &boot->config;
        const char *node = boot->volume.node;
        char why[512], advice[256];
        say_why(config, look, why, sizeof(why));
        if (look->probe.bad_superblock) {
                (void) snprintf(advice, sizeof(advice),
                                "If it is this cluster's, " DISK_SUPERBLOCK_ADVICE, node);
        } else if (string_starts_with(look->probe.what, "ext4 ")) {
                (void) snprintf(advice, sizeof(advice),
                                "If its data may go, run wipefs --all %s, then kube-bootstrap run "
                                "--format-volume; if it is this cluster's, from before a change of "
                                "name, run e2label %s %s, then run kube-bootstrap again",
                                node, node, look->label);
        } else if (look->scene.content == DISK_FOREIGN) {
                (void) snprintf(advice, sizeof(advice),
                                "If its data may go, run wipefs --all %s, then kube-bootstrap run "
                                "--format-volume",
                                node);
        } else {
                (void) snprintf(advice, sizeof(advice),
                                "If it held data, restore a snapshot; if its data may go, run "
                                "kube-bootstrap run --format-volume");
        }
        return error_set(err, ERROR_UNSAFE, EEXIST,
                         "volume %s (%s) holds %s%s. Nothing was written. If it is the wrong "
                         "volume, correct MASTER_VOLUME_ID in %s. %s",
                         config->master_volume_id, node, look->probe.what, why, STACK_CONFIG_PATH,
                         advice);
}

int volume_format_probe(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        Look look = {};
        int r = look_at_volume(boot, context, &look, err);
        if (r < 0) {
                return r;
        }
        switch (format_decide(&look.scene)) {
        case FORMAT_DONE:
                return 1;
        case FORMAT_SETTLE:
        case FORMAT_MAKE:
                step_not_yet(context, "%s holds %s", boot->volume.node, look.probe.what);
                return 0;
        default:
                return format_refuse(boot, &look, err);
        }
}

/* Writes the record, on the condition that there is none or that it is the one that was seen. If
 * the answer to a write is lost, the condition of the retry fails, so the record is read back and
 * compared. The UUID is random: a record with it is ours. */
static int put_record(const Boot *boot, StepContext *context, Look *look, const char *uuid,
                      FormatState state, Error *err)
{
        const StackConfig *config = &boot->config;
        if (look->scene.has_record && look->record.state == state &&
            streq(look->record.uuid, uuid)) {
                return 0;
        }
        FormatRecord record = { .state = state };
        (void) snprintf(record.cluster_name, sizeof(record.cluster_name), "%s",
                        config->cluster_name);
        (void) snprintf(record.volume_id, sizeof(record.volume_id), "%s", config->master_volume_id);
        (void) snprintf(record.instance_id, sizeof(record.instance_id), "%s",
                        boot->identity.instance_id);
        (void) snprintf(record.uuid, sizeof(record.uuid), "%s", uuid);
        document_now(record.created);
        _cleanup_buffer_ Buffer text = {};
        int r = format_record_format(&record, &text, err);
        if (r < 0) {
                return r;
        }
        char name[FORMAT_RECORD_NAME_MAX];
        format_record_name(config->master_volume_id, name);
        r = bucket_replace(boot, context, name, &text, look->scene.has_record ? look->etag : NULL,
                           err);
        if (r >= 0) {
                r = get_record(boot, context, look, err);
        }
        if (r < 0) {
                return r;
        }
        if (!look->scene.has_record || look->record.state != state ||
            !streq(look->record.uuid, uuid)) {
                /* Perhaps an earlier write of this instance that came late. The volume is attached
                 * here, so nobody else writes it: the next look decides by what is there then. */
                const char *writer = look->scene.has_record ? look->record.instance_id : "nobody";
                return error_set(err, ERROR_RETRY, EBUSY,
                                 "s3://%s/%s/%s is not what was just written to it (its writer is "
                                 "%s): volume %s is probed again before anything is written",
                                 config->s3_bucket, config->s3_prefix, name, writer,
                                 config->master_volume_id);
        }
        return 0;
}

/* Chooses the UUID of the filesystem: the one of a format that was begun before, if there was one,
 * else a random one. */
static int choose_uuid(const Look *look, char ret[DISK_UUID_MAX], Error *err)
{
        const char *begun = NULL;
        if (look->scene.content == DISK_INTERRUPTED) {
                begun = look->probe.uuid; /* the marker's */
        } else if (look->scene.has_record && look->scene.state == FORMAT_FORMATTING) {
                begun = look->record.uuid;
        }
        if (!begun) {
                return filesystem_draw_uuid(ret, err);
        }
        (void) snprintf(ret, DISK_UUID_MAX, "%s", begun);
        return 0;
}

static int make_filesystem(const Boot *boot, StepContext *context, Look *look, Error *err)
{
        char uuid[DISK_UUID_MAX];
        int r = choose_uuid(look, uuid, err);
        if (r >= 0) {
                r = put_record(boot, context, look, uuid, FORMAT_FORMATTING, err);
        }
        if (r < 0) {
                return r;
        }
        const FormatOrder order = {
                .label = look->label,
                .uuid = uuid,
                .gives_up = DISK_MASK(look->scene.content),
        };
        step_waiting_for(context, "mkfs.ext4 on %s (volume %s)", boot->volume.node,
                         boot->volume.volume_id);
        r = filesystem_format(&boot->volume, &order, step_wait(context), err);
        return r < 0 ? error_prefix(err, "format volume %s", boot->volume.volume_id) : 0;
}

int volume_format_apply(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        Look look = {};
        int r = look_at_volume(boot, context, &look, err);
        if (r < 0) {
                return r;
        }
        FormatOutcome outcome = format_decide(&look.scene);
        if (outcome == FORMAT_REFUSE) {
                return format_refuse(boot, &look, err);
        }
        if (outcome == FORMAT_MAKE) {
                r = make_filesystem(boot, context, &look, err);
                if (r < 0) {
                        return r;
                }
                outcome = FORMAT_SETTLE;
        }
        const char *uuid = look.scene.content == DISK_OURS ? look.probe.uuid : look.record.uuid;
        char settled[DISK_UUID_MAX];
        (void) snprintf(settled, sizeof(settled), "%s", uuid);
        return outcome == FORMAT_SETTLE
                       ? put_record(boot, context, &look, settled, FORMAT_FORMATTED, err)
                       : 0;
}
