/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "ec2_world.h"

/* volume-attach, run by the engine against an EC2 that keeps one volume. */

#define VOLUME "vol-0123456789abcdef0"

/* The volume as EC2 has it. Read and written under the server's mutex, or before a run. */
static struct {
        bool missing, multi_attach;
        const char *zone, *state;
        char holder[32], device[16], attachment[16];
        const char *holder_state; /* NULL: unknown to EC2 */
        int looks;                /* DescribeVolumes so far */
        int attached_after;       /* looks that see "attaching"; negative: all */
        int released_after;       /* looks until the other lets go; 0: never */
        int refusals;             /* of AttachVolume, with refusal_code */
        const char *refusal_code;
        char names_in_use;           /* device names up to this letter are taken */
        char hangs_up_to;            /* attachments under names up to this letter never end */
        int gone_first;              /* DetachVolume meets none, the first n times */
        _Atomic time_t looks_take_s; /* by the clocks of this program */
        bool detached_by_force;
        char sys_root[96];
} world;

static char dev_root[48];
static _Atomic time_t later_s;

/* In the C library's place. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
        int r = (int) syscall(SYS_clock_gettime, clock, ret);
        ret->tv_sec += later_s;
        return r;
}

/* The disk that a kernel shows once EC2 has attached it. */
static void show_disk(bool there)
{
        char path[160];
        static const char *const files[][2] = { { "dev", "259:3\n" },
                                                { "size", "41943040\n" },
                                                { "device/serial", "vol0123456789abcdef0\n" } };
        for (size_t i = 0; i < ELEMENTS(files); i++) {
                Error err = {};
                (void) snprintf(path, sizeof(path), "%s/block/nvme1n1/%s", world.sys_root,
                                files[i][0]);
                if (there) {
                        CHECK_OK(file_write(path, files[i][1], strlen(files[i][1]), 0644, &err),
                                 err);
                } else {
                        (void) unlink(path);
                }
        }
}

static char *describe_volumes(void)
{
        char attachment[512] = "";
        world.looks++;
        later_s += world.looks_take_s;
        if (world.missing) {
                return ec2_error("400 Bad Request", "InvalidVolume.NotFound",
                                 "The volume '" VOLUME "' does not exist.");
        }
        if (streq(world.holder, HOLDER) && world.released_after > 0 &&
            world.looks > world.released_after) {
                world.holder[0] = '\0';
        }
        if (streq(world.holder, INSTANCE) && streq(world.attachment, "attaching") &&
            world.device[strlen(world.device) - 1] > world.hangs_up_to &&
            world.attached_after >= 0 && --world.attached_after < 0) {
                (void) snprintf(world.attachment, sizeof(world.attachment), "attached");
                show_disk(true);
        }
        if (world.holder[0]) {
                (void) snprintf(attachment, sizeof(attachment),
                                "<item><volumeId>" VOLUME "</volumeId><instanceId>%s</instanceId>"
                                "<device>%s</device><status>%s</status>"
                                "<attachTime>2026-01-02T03:04:05.000Z</attachTime></item>",
                                world.holder, world.device, world.attachment);
        }
        return ec2_reply("<volumeSet><item><volumeId>" VOLUME "</volumeId><size>20</size>"
                         "<availabilityZone>%s</availabilityZone><status>%s</status>"
                         "<multiAttachEnabled>%s</multiAttachEnabled>"
                         "<attachmentSet>%s</attachmentSet></item></volumeSet>",
                         world.zone, world.holder[0] ? "in-use" : world.state,
                         world.multi_attach ? "true" : "false", attachment);
}

static char *attach_volume(const char *request)
{
        if (world.refusals > 0) {
                world.refusals--;
                return ec2_error("400 Bad Request", world.refusal_code, "refused by the test");
        }
        if (world.holder[0]) {
                return ec2_error("400 Bad Request", "VolumeInUse", "already attached");
        }
        const char *name = strstr(request, "Device=%2Fdev%2Fsd");
        if (!name) {
                return ec2_error("400 Bad Request", "InvalidParameterValue", "no device name");
        }
        char letter = name[strlen("Device=%2Fdev%2Fsd")];
        if (letter <= world.names_in_use) {
                return ec2_error("400 Bad Request", "InvalidParameterValue",
                                 "Invalid value for unixDevice. Attachment point is already in "
                                 "use");
        }
        (void) snprintf(world.holder, sizeof(world.holder), INSTANCE);
        (void) snprintf(world.device, sizeof(world.device), "/dev/sd%c", letter);
        (void) snprintf(world.attachment, sizeof(world.attachment), "attaching");
        return ec2_reply("<status>attaching</status>");
}

static char *detach_volume(const char *request)
{
        if (world.gone_first > 0) {
                world.gone_first--;
                world.holder[0] = '\0';
        }
        world.detached_by_force = strstr(request, "Force=true") != NULL;
        if (!world.holder[0] || !strstr(request, world.holder)) {
                return ec2_error("400 Bad Request", "InvalidAttachment.NotFound", "not there");
        }
        world.holder[0] = '\0';
        world.attached_after = 1;
        return ec2_reply("<status>detaching</status>");
}

static char *respond(const char *request, unsigned number)
{
        (void) number;
        if (is_action(request, "DescribeVolumes")) {
                return describe_volumes();
        }
        if (is_action(request, "AttachVolume")) {
                return attach_volume(request);
        }
        if (is_action(request, "DetachVolume")) {
                return detach_volume(request);
        }
        if (is_action(request, "DescribeInstances") && world.holder_state) {
                return ec2_reply("<reservationSet><item><instancesSet><item><instanceId>" HOLDER
                                 "</instanceId><instanceState><name>%s</name></instanceState>"
                                 "</item></instancesSet></item></reservationSet>",
                                 world.holder_state);
        }
        return ec2_error("400 Bad Request", "InvalidInstanceID.NotFound", "no such instance");
}

/* An available volume in our zone, nothing attached, no disk. */
static void fresh(unsigned timeout_s)
{
        char sys_root[96];
        (void) snprintf(sys_root, sizeof(sys_root), "%s", world.sys_root);
        memset(&world, 0, sizeof(world));
        (void) snprintf(world.sys_root, sizeof(world.sys_root), "%s", sys_root);
        world.zone = ZONE;
        world.state = "available";
        world.attached_after = 1;
        boot.config.attach_timeout_s = timeout_s;
        boot.overrides.force_detach = false;
        boot.volume = (Blockdev) {};
        boot.ec2_volume_is_fresh = false;
        show_disk(false);
        server_reset(&server, respond);
}

static void hold(const char *attachment, const char *holder_state)
{
        (void) snprintf(world.holder, sizeof(world.holder), HOLDER);
        (void) snprintf(world.device, sizeof(world.device), "/dev/sdf");
        (void) snprintf(world.attachment, sizeof(world.attachment), "%s", attachment);
        world.holder_state = holder_state;
}

static int run(StepStatus *status, Error *err)
{
        return run_step(volume_attach_probe, volume_attach_apply, MACHINE_CONVERGE, status, err);
}

static void attaches(void)
{
        StepStatus status;
        Error err;
        fresh(20);
        CHECK_OK(run(&status, &err), err);
        CHECK_STR(strrchr(boot.volume.node, '/'), "/nvme1n1");
        CHECK_INT(boot.volume.kind, BLOCKDEV_NVME);
        CHECK_INT(count_action("AttachVolume"), 1);
        CHECK_INT(count_action("DetachVolume"), 0);
        CHECK_INT(server_count(&server), 4); /* a look before it, and two until it is attached */

        server_reset(&server, respond); /* and again: nothing changes */
        boot.volume = (Blockdev) {};
        CHECK_OK(run(&status, &err), err);
        CHECK_INT(server_count(&server), 1);
        CHECK_STR(strrchr(boot.volume.node, '/'), "/nvme1n1");
}

static void plan_changes_nothing(void)
{
        StepStatus status;
        Error err;
        fresh(20);
        (void) run_step(volume_attach_probe, volume_attach_apply, MACHINE_PLAN, &status, &err);
        CHECK_INT(status.state, STEP_WOULD_APPLY);
        CHECK_INT(server_count(&server), count_action("DescribeVolumes"));
}

static void other_device_names(void)
{
        StepStatus status;
        Error err;
        fresh(20);
        world.names_in_use = 'h';
        CHECK_OK(run(&status, &err), err);
        CHECK_STR(world.device, "/dev/sdi");
        fresh(20);
        world.names_in_use = 'z';
        CHECK(run(&status, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_INT(count_action("AttachVolume"), 'p' - 'f' + 1);
}

static void refusals_that_pass(void)
{
        static const char *const codes[] = { "IncorrectState", "VolumeInUse",
                                             "IncorrectInstanceState" };
        for (size_t i = 0; i < ELEMENTS(codes); i++) {
                StepStatus status;
                Error err;
                fresh(20);
                world.refusals = 2;
                world.refusal_code = codes[i];
                CHECK_OK(run(&status, &err), err);
                CHECK_INT(count_action("AttachVolume"), 3);
        }
        StepStatus status;
        Error err;
        fresh(20);
        world.refusals = 1;
        world.refusal_code = "UnauthorizedOperation";
        CHECK(run(&status, &err) < 0);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "ec2:AttachVolume");
        CHECK_CONTAINS(err.message, VOLUME);
}

/* The master that is going lets go by itself. */
static void holder_is_terminating(void)
{
        StepStatus status;
        Error err;
        fresh(20);
        hold("attached", "shutting-down");
        world.released_after = 3;
        CHECK_OK(run(&status, &err), err);
        CHECK_INT(count_action("DetachVolume"), 0);
        CHECK_INT(count_action("AttachVolume"), 1);
}

static void holder_runs(void)
{
        static const char *const states[] = { "running", "stopped", "stopping", "pending" };
        for (size_t i = 0; i < ELEMENTS(states); i++) {
                StepStatus status;
                Error err;
                fresh(1);
                hold("attached", states[i]);
                CHECK(run(&status, &err) < 0);
                CHECK_INT(status.state, STEP_FAILED);
                CHECK_CONTAINS(err.message, VOLUME);
                CHECK_CONTAINS(err.message, HOLDER);
                CHECK_CONTAINS(err.message, states[i]);
                CHECK_CONTAINS(err.message, "2026-01-02T03:04:05");
                CHECK_CONTAINS(err.message, "ATTACH_TIMEOUT_SECONDS");
                CHECK_CONTAINS(err.message, "terminate it");
                CHECK_INT(count_action("DetachVolume"), 0);
                CHECK_INT(count_action("AttachVolume"), 0);
        }
}

/* To terminate what is terminated would not help. */
static void holder_is_gone(void)
{
        static const char *const states[] = { "terminated", NULL };
        for (size_t i = 0; i < ELEMENTS(states); i++) {
                StepStatus status;
                Error err;
                fresh(1);
                hold("attached", states[i]);
                CHECK(run(&status, &err) < 0);
                CHECK_CONTAINS(err.message, states[i] ? "(terminated)" : "(unknown to EC2)");
                CHECK_CONTAINS(err.message, "; detach the volume from it");
                CHECK(!strstr(err.message, "terminate it"));
                CHECK_INT(count_action("DetachVolume"), 0);
        }
}

static void force_only_what_does_not_run(void)
{
        static const struct {
                const char *state;
                bool forced;
        } cases[] = {
                { "running", false },  { "pending", false }, { "shutting-down", false },
                { "stopping", false }, { "stopped", true },  { "terminated", true },
                { NULL, true },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                StepStatus status;
                Error err;
                fresh(cases[i].forced ? 20 : 1);
                hold("attached", cases[i].state);
                boot.overrides.force_detach = true;
                int r = run(&status, &err);
                CHECK_INT(r == 0, cases[i].forced);
                CHECK_INT(world.detached_by_force, cases[i].forced);
                CHECK_INT(count_action("DetachVolume"), cases[i].forced);
                if (cases[i].forced) {
                        CHECK_CONTAINS(status.warning, HOLDER);
                }
        }
}

static void begin_attaching(const char *device)
{
        fresh(1800);             /* as the looks count, far more than any case takes */
        world.looks_take_s = 50; /* 90 s are enough to be stuck */
        (void) snprintf(world.holder, sizeof(world.holder), INSTANCE);
        (void) snprintf(world.device, sizeof(world.device), "%s", device);
        (void) snprintf(world.attachment, sizeof(world.attachment), "attaching");
}

/* A daemon that was started again learns from EC2 which name hangs, and begins after it. */
static void stuck_attaching(void)
{
        static const struct {
                const char *device, *next;
        } cases[] = { { "/dev/sdf", "/dev/sdg" },
                      { "/dev/sdk", "/dev/sdl" },
                      { "/dev/sdp", "/dev/sdf" } };
        unsigned usual_s = deadline_s;
        deadline_s = 0;
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                StepStatus status;
                Error err;
                begin_attaching(c->device);
                world.attached_after = -1; /* until it is detached */
                CHECK_OK(run(&status, &err), err);
                CHECK_INT(count_action("DetachVolume"), 1);
                CHECK(!world.detached_by_force);
                CHECK_INT(count_action("AttachVolume"), 1);
                CHECK_STR(world.device, c->next);
        }
        /* One name after the other. */
        StepStatus status;
        Error err;
        fresh(1800);
        world.looks_take_s = 50;
        world.hangs_up_to = 'g';
        CHECK_OK(run(&status, &err), err);
        CHECK_STR(world.device, "/dev/sdh");
        CHECK_INT(count_action("DetachVolume"), 2);
        deadline_s = usual_s;
}

/* EC2 gave it up between the look and the call: the next look tells. */
static void detached_meanwhile(void)
{
        StepStatus status;
        Error err;
        unsigned usual_s = deadline_s;
        deadline_s = 0;
        begin_attaching("/dev/sdf");
        world.attached_after = -1;
        world.gone_first = 1;
        world.hangs_up_to = 'f';
        world.attached_after = 1;
        CHECK_OK(run(&status, &err), err);
        CHECK_INT(count_action("DetachVolume"), 1);
        CHECK_STR(world.device, "/dev/sdg");

        fresh(20);
        deadline_s = usual_s;
        hold("attached", "terminated");
        boot.overrides.force_detach = true;
        world.gone_first = 1;
        CHECK_OK(run(&status, &err), err);
        CHECK_INT(count_action("DetachVolume"), 1);
        CHECK_STR(status.warning, ""); /* nobody was detached by force */
}

static void device_never_appears(void)
{
        StepStatus status;
        Error err;
        fresh(1);
        (void) snprintf(world.holder, sizeof(world.holder), INSTANCE);
        (void) snprintf(world.device, sizeof(world.device), "/dev/sdf");
        (void) snprintf(world.attachment, sizeof(world.attachment), "attached");
        CHECK(run(&status, &err) < 0);
        CHECK_CONTAINS(err.message, "its disk to appear");
        CHECK_CONTAINS(err.message, "NVMe driver");
}

static void volume_is_missing(void)
{
        StepStatus status;
        Error err;
        fresh(600);
        world.missing = true;
        world.looks_take_s = 15;
        unsigned usual_s = deadline_s;
        deadline_s = 0;
        CHECK(run(&status, &err) < 0);
        deadline_s = usual_s;
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_INT(err.source, ERROR_FROM_AWS); /* so it is looked for again, slowly */
        CHECK_CONTAINS(err.message, "there is no volume " VOLUME " in us-east-1");
        CHECK_CONTAINS(err.message, "MASTER_VOLUME_ID in " STACK_CONFIG_PATH);
        CHECK_INT(count_action("DescribeVolumes"), 60 / 15 + 1); /* it was given a minute */
        CHECK_INT(count_action("AttachVolume"), 0);
}

static void refused_at_once(void)
{
        static const struct {
                const char *zone, *state;
                bool multi_attach;
                ErrorClass class;
                const char *says[2];
        } cases[] = {
                { "us-east-1b", "available", false, ERROR_CONFIG, { "us-east-1b", ZONE } },
                { ZONE, "available", true, ERROR_UNSAFE, { "Multi-Attach", "modify-volume" } },
                { ZONE, "deleting", false, ERROR_CONFIG, { "deleting", "snapshot" } },
                { ZONE, "error", false, ERROR_CONFIG, { "error", "snapshot" } },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                StepStatus status;
                Error err;
                fresh(20);
                world.zone = cases[i].zone;
                world.state = cases[i].state;
                world.multi_attach = cases[i].multi_attach;
                CHECK(run(&status, &err) < 0);
                CHECK_INT(err.class, cases[i].class);
                CHECK_CONTAINS(err.message, VOLUME);
                CHECK_CONTAINS(err.message, cases[i].says[0]);
                CHECK_CONTAINS(err.message, cases[i].says[1]);
                CHECK_INT(server_count(&server), 1);
        }
}

int main(void)
{
        static const struct {
                const char *name;
                void (*function)(void);
                bool needs_node;
        } cases[] = {
                { "an available volume is attached, once", attaches, true },
                { "a plan only looks", plan_changes_nothing },
                { "a device name in use is passed over", other_device_names, true },
                { "refusals that pass are waited out, denials are not", refusals_that_pass, true },
                { "a holder that is going is waited for", holder_is_terminating, true },
                { "a holder that may run is named and never detached", holder_runs },
                { "a holder that is gone is to be detached by a person", holder_is_gone },
                { "force detaches from what does not run, and from nothing else",
                  force_only_what_does_not_run, true },
                { "an attachment that hangs is detached and asked for again", stuck_attaching,
                  true },
                { "an attachment that is gone is not detached", detached_meanwhile, true },
                { "a disk that never appears is an error that says so", device_never_appears },
                { "a volume that does not exist is given some time, then named",
                  volume_is_missing },
                { "another zone, Multi-Attach, a volume that is going: refused at once",
                  refused_at_once },
        };
        char folder[160];
        Error err = {};
        static char volume_id[] = VOLUME;
        start_world();
        boot.config.master_volume_id = volume_id;
        (void) snprintf(world.sys_root, sizeof(world.sys_root), "%s/sys", test_folder());
        (void) snprintf(dev_root, sizeof(dev_root), "%s/d", test_folder());
        (void) snprintf(folder, sizeof(folder), "%s/block/nvme1n1/device", world.sys_root);
        if (file_make_directory(folder, 0755, &err) < 0 ||
            file_make_directory(dev_root, 0755, &err) < 0) {
                abort();
        }
        blockdev_set_roots(world.sys_root, dev_root);
        (void) snprintf(folder, sizeof(folder), "%s/nvme1n1", dev_root);
        bool has_node = mknod(folder, S_IFBLK | 0600, makedev(259, 3)) == 0;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                if (cases[i].needs_node && !has_node) {
                        test_skip(cases[i].name, "making a device node needs root");
                } else {
                        test_case(cases[i].name, cases[i].function);
                }
        }
        server_reset(&server, NULL);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        http_done();
        return test_done();
}
