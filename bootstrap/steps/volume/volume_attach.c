/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "aws/ec2.h"
#include "base/string.h"
#include "steps/boot.h"

/* The attachment is the lock that makes this instance the master: EC2 attaches a volume without
 * Multi-Attach to one instance only. So the step waits for the volume. It takes the volume from
 * another instance only if a person says so, and never from one that may be running. */

#define ATTACHING_MAX_S 90 /* an attach ends within seconds, or hangs */
#define DEVICE_LOOK_MS  10000

/* https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html: f to p */
#define DEVICE_FIRST 'f'
#define DEVICE_LAST  'p'

static const StepRetry looks = { .first_ms = 400, .max_ms = 5000 };

typedef struct Attach {
        Boot *boot;
        StepContext *context;
        Wait wait;
        Error failed;                /* of the last look, if it may pass */
        uint64_t attaching_since_ms; /* 0: not attaching */
        char device_letter;
        bool held;        /* by another instance, at the last look */
        bool holder_gone; /* that instance is terminated, or unknown to EC2 */
        bool forced;      /* detached by force from another, once */
        char waiting_for[256];
} Attach;

static void __attribute__((format(printf, 2, 3)))
waiting_for(Attach *attach, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(attach->waiting_for, sizeof(attach->waiting_for), format, ap);
        va_end(ap);
        step_waiting_for(attach->context, "%s", attach->waiting_for);
}

/* Returns limit_s, or half of the attach timeout if that is less, so that time is left for what
 * follows. */
static unsigned limit_within(const Boot *boot, unsigned limit_s)
{
        unsigned half = boot->config.attach_timeout_s / 2;
        return half < limit_s ? half : limit_s;
}

/* Returns true if *since_ms (0: set to now) is longer ago than limit_s. */
static bool lasts_longer(uint64_t *since_ms, unsigned limit_s)
{
        uint64_t now = wait_now_ms();
        if (*since_ms == 0) {
                *since_ms = now;
        }
        return now - *since_ms > (uint64_t) limit_s * 1000;
}

/* Refuses a volume that no waiting would make usable. */
static int check_volume(const Boot *boot, const Ec2Volume *volume, Error *err)
{
        const char *id = boot->config.master_volume_id;
        if (volume->multi_attach) {
                return error_set(err, ERROR_UNSAFE, EINVAL,
                                 "volume %s has Multi-Attach, so that being attached does not make "
                                 "one instance the master: expected a volume without it (aws ec2 "
                                 "modify-volume --volume-id %s --no-multi-attach-enabled, while "
                                 "it is detached)",
                                 id, id);
        }
        if (!streq(volume->zone, boot->identity.zone)) {
                return error_set(err, ERROR_CONFIG, EXDEV,
                                 "volume %s is in zone %s, this instance %s in zone %s: expected "
                                 "the same; start masters in %s, or make a volume from a snapshot "
                                 "in %s and set MASTER_VOLUME_ID in %s",
                                 id, volume->zone, boot->identity.instance_id, boot->identity.zone,
                                 volume->zone, boot->identity.zone, STACK_CONFIG_PATH);
        }
        if (streq(volume->state, "deleting") || streq(volume->state, "deleted") ||
            streq(volume->state, "error")) {
                return error_set(err, ERROR_CONFIG, ENODEV,
                                 "volume %s is in state %s: expected available or in-use; restore "
                                 "a snapshot and set MASTER_VOLUME_ID in %s",
                                 id, volume->state, STACK_CONFIG_PATH);
        }
        return 0;
}

static bool is_missing(const Error *err)
{
        return string_starts_with(err->aws_code, "InvalidVolume") &&
               string_ends_with(err->aws_code, ".NotFound");
}

/* Puts what to do before EC2's own message. The class stays, because EC2 may know a new volume a
 * little later. */
static int attach_refuse_missing(const Boot *boot, Error *err)
{
        return error_prefix(err,
                            "there is no volume %s in %s: expected the master volume's id as "
                            "MASTER_VOLUME_ID in %s",
                            boot->config.master_volume_id, boot->identity.region,
                            STACK_CONFIG_PATH);
}

/* Looks at the volume, and refuses one that will not do. Probe and apply follow on each other, so
 * each uses the last look of the other. */
static int attach_look(Boot *boot, const Wait *wait, Error *err)
{
        int r = boot_take_fresh(&boot->ec2_volume_is_fresh)
                        ? 0
                        : ec2_describe_volume(boot->aws, boot->config.master_volume_id, wait,
                                              &boot->ec2_volume, err);
        return r < 0 ? r : check_volume(boot, &boot->ec2_volume, err);
}

static bool is_attached_here(const Boot *boot)
{
        const Ec2Volume *volume = &boot->ec2_volume;
        return volume->attached &&
               streq(volume->attachment.instance_id, boot->identity.instance_id);
}

/* Returns 1 if the volume is attached here, as far as EC2 has said, and its disk has appeared. */
static int find_disk(Boot *boot, StepContext *context, Error *err)
{
        const Ec2Volume *volume = &boot->ec2_volume;
        const char *id = boot->config.master_volume_id;
        if (!is_attached_here(boot) || !streq(volume->attachment.state, "attached")) {
                const char *state = volume->attached ? volume->attachment.state : volume->state;
                step_not_yet(context, "volume %s is %s%s%s", id, state,
                             volume->attached ? " to " : "", volume->attachment.instance_id);
                return 0;
        }
        Blockdev device = {};
        int r = blockdev_find(id, volume->attachment.device, &device, err);
        if (r > 0) {
                boot->volume = device;
        } else if (r == 0) {
                step_not_yet(context, "volume %s is attached as %s, its disk has not appeared", id,
                             volume->attachment.device);
        }
        return r;
}

int volume_attach_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        bool asks = !boot->ec2_volume_is_fresh;
        int r = attach_look(boot, step_wait(context), err);
        if (r < 0) {
                return is_missing(err) ? attach_refuse_missing(boot, err) : r;
        }
        r = find_disk(boot, context, err);
        boot->ec2_volume_is_fresh = r == 0 && asks; /* for apply; never apply's own look again */
        return r;
}

static char next_letter(char letter)
{
        return letter >= DEVICE_FIRST && letter < DEVICE_LAST ? (char) (letter + 1) : DEVICE_FIRST;
}

/* Asks EC2 to attach the volume, under the first device name that is free on this instance. */
static int attach_ask(Attach *attach, Error *err)
{
        const Boot *boot = attach->boot;
        char device[16];
        for (char last = DEVICE_FIRST;; last = next_letter(last)) {
                (void) snprintf(device, sizeof(device), "/dev/sd%c", attach->device_letter);
                waiting_for(attach, "volume %s: EC2 to attach it as %s",
                            boot->config.master_volume_id, device);
                int r = ec2_attach_volume(boot->aws, boot->config.master_volume_id,
                                          boot->identity.instance_id, device, &attach->wait, err);
                if (r >= 0) {
                        step_look_soon(attach->context);
                        return 0;
                }
                if (!streq(err->aws_code, "InvalidParameterValue") ||
                    !strstr(err->message, "in use") || last == DEVICE_LAST) {
                        return r;
                }
                attach->device_letter = next_letter(attach->device_letter);
        }
}

/* Waits for the disk of the attached volume, which the kernel shows a little later. Returns 1 once
 * it is there, an error after DEVICE_LOOK_MS. */
static int await_device(Attach *attach, const Ec2Volume *volume, Error *err)
{
        const char *id = attach->boot->config.master_volume_id;
        Blockdev device;
        waiting_for(attach, "volume %s: attached as %s, its disk to appear", id,
                    volume->attachment.device);
        /* Waits in parts, because somebody may detach the volume meanwhile. */
        Wait part = wait_part(&attach->wait, DEVICE_LOOK_MS);
        int r = blockdev_wait(id, volume->attachment.device, &part, &device, err);
        return r < 0 ? r : 1;
}

/* Detaches the volume. Returns 1, or 0 if the attachment has ended since the last look, which the
 * next look shows. */
static int detach(const Attach *attach, const char *instance_id, bool force, Error *err)
{
        const Boot *boot = attach->boot;
        Error failed = {};
        int r = ec2_detach_volume(boot->aws, boot->config.master_volume_id, instance_id, force,
                                  &attach->wait, &failed);
        if (r < 0 && streq(failed.aws_code, "InvalidAttachment.NotFound")) {
                return 0;
        }
        if (r < 0) {
                *err = failed;
                return r;
        }
        return 1;
}

static int await_own_attachment(Attach *attach, const Ec2Volume *volume, Error *err)
{
        const Boot *boot = attach->boot;
        const char *id = boot->config.master_volume_id;
        if (streq(volume->attachment.state, "attached")) {
                return await_device(attach, volume, err);
        }
        waiting_for(attach, "volume %s: %s here as %s since %s", id, volume->attachment.state,
                    volume->attachment.device, volume->attachment.since);
        if (!streq(volume->attachment.state, "attaching")) {
                attach->attaching_since_ms = 0; /* detaching, busy: attach is asked for again */
                return 0;
        }
        unsigned limit_s = limit_within(boot, ATTACHING_MAX_S);
        if (!lasts_longer(&attach->attaching_since_ms, limit_s)) {
                return 0;
        }
        /* A device name whose attachment hangs goes on hanging, so another name is tried. EC2 shows
         * the name also to a daemon that was started again.
         * https://repost.aws/knowledge-center/ebs-stuck-attaching */
        const char *device = volume->attachment.device;
        attach->device_letter = next_letter(device[0] ? device[strlen(device) - 1] : '\0');
        attach->attaching_since_ms = 0;
        step_look_soon(attach->context);
        waiting_for(
                attach,
                "volume %s: attaching as %s for more than %u s: EC2 to detach it, then to attach "
                "it as /dev/sd%c",
                id, device, limit_s, attach->device_letter);
        int r = detach(attach, boot->identity.instance_id, false, err);
        return r < 0 ? r : 0;
}

/* Waits while another instance holds the volume. An instance that is shutting down releases it
 * without help; one that is stopped or runs may be the master, and only a person knows. */
static int await_holder(Attach *attach, const Ec2Volume *volume, Error *err)
{
        const Boot *boot = attach->boot;
        const char *id = boot->config.master_volume_id, *holder = volume->attachment.instance_id;
        char state[24] = "unknown to EC2";
        int r = ec2_describe_instance_state(boot->aws, holder, &attach->wait, state, err);
        if (r < 0) {
                return r;
        }
        attach->holder_gone = r == 0 || streq(state, "terminated");
        waiting_for(attach, "volume %s: to be released by %s (%s), %s since %s", id, holder, state,
                    volume->attachment.state, volume->attachment.since);
        if (!boot->overrides.force_detach || attach->forced ||
            !(attach->holder_gone || streq(state, "stopped"))) {
                return 0;
        }
        r = detach(attach, holder, true, err);
        if (r > 0) {
                attach->forced = true;
                step_look_soon(attach->context);
                step_warn(attach->context, "volume %s detached by force from %s (%s), as asked for",
                          id, holder, state);
        }
        return r < 0 ? r : 0;
}

/* Looks once, and does what follows. Returns 1 if the volume is attached and its disk is here, else
 * 0. */
static int attach_take_turn(Attach *attach, Error *err)
{
        Boot *boot = attach->boot;
        const char *id = boot->config.master_volume_id;
        const Ec2Volume *volume = &boot->ec2_volume;
        int r = attach_look(boot, &attach->wait, err);
        if (r < 0) {
                return is_missing(err) ? attach_refuse_missing(boot, err) : r;
        }
        attach->held = false;
        if (is_attached_here(boot)) {
                return await_own_attachment(attach, volume, err);
        }
        attach->attaching_since_ms = 0;
        if (volume->attached) {
                attach->held = true;
                return await_holder(attach, volume, err);
        }
        if (!streq(volume->state, "available")) {
                waiting_for(attach, "volume %s: in state %s, to become available", id,
                            volume->state);
                return 0;
        }
        return attach_ask(attach, err);
}

static int try_turn(void *userdata, StepContext *context, Error *err)
{
        (void) context;
        Attach *attach = userdata;
        attach->failed = (Error) {};
        int r = attach_take_turn(attach, &attach->failed);
        if (r >= 0 || (attach->failed.class == ERROR_RETRY && r != -ECANCELED)) {
                return r > 0;
        }
        *err = attach->failed;
        return r;
}

static int give_up(const Attach *attach, Error *err)
{
        const Boot *boot = attach->boot;
        const char *advice = "";
        if (attach->held) {
                advice = attach->holder_gone ? "; detach the volume from it"
                                             : "; if that instance is no longer the master, "
                                               "terminate it, or detach the volume from it";
        }
        /* Not ERROR_RETRY, with which the step would begin again without a word. systemd starts the
         * daemon again, and then the wait begins again. */
        return error_set(err, ERROR_FATAL, ETIMEDOUT,
                         "not attached after %u s (ATTACH_TIMEOUT_SECONDS): %s%s%s%s",
                         boot->config.attach_timeout_s, attach->waiting_for,
                         attach->failed.message[0] ? "; " : "", attach->failed.message, advice);
}

int volume_attach_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        Attach attach = {
                .boot = boot,
                .context = context,
                .wait = wait_part(step_wait(context),
                                  (uint64_t) boot->config.attach_timeout_s * 1000),
                .device_letter = DEVICE_FIRST,
        };
        int r = step_await(context, try_turn, &attach, looks, boot->config.attach_timeout_s, err);
        if (r == 0) {
                return give_up(&attach, err);
        }
        boot->ec2_volume_is_fresh = r > 0; /* for the probe that follows */
        return r < 0 ? r : 0;
}
