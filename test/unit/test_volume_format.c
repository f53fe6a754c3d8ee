/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/file.h"
#include "host/filesystem_internal.h"
#include "loop_volume.h"
#include "steps/volume/format_internal.h"

/* volume-format, run by the engine on a loop device beside a bucket in memory and an EC2 that says
 * what each case wants. */

#define STACK   "arn:aws:cloudformation:us-east-1:123456789012:stack/kube/0a1b2c3d"
#define CLUSTER "00112233445566778899aabbccddeeff"
#define UUID    "6f0c4a9d-2c4e-4b0f-a5d0-a8b8f3a0c101"
#define SIZE    (72 * MIB)

static char record_key[96];

/* What EC2 said of the volume, to step volume-attach. */
static struct {
        bool encrypted;
        const char *snapshot, *stack;
} ec2;

static char *respond(const char *request, unsigned number)
{
        (void) number;
        char *answer = bucket_answer(request);
        return answer ? answer : ec2_error("400 Bad Request", "InvalidAction", "nobody asks");
}

static int run(MachineMode mode, StepStatus *status, Error *err)
{
        const Step step = { .name = "volume-format",
                            .makes_true = "format",
                            .runs_on = KIND_MASTER,
                            .probe = volume_format_probe,
                            .apply = volume_format_apply,
                            .deadline_s = 60,
                            .destroys_data = true };
        Ec2Volume *volume = &boot.ec2_volume;
        volume->encrypted = ec2.encrypted;
        (void) snprintf(volume->snapshot_id, sizeof(volume->snapshot_id), "%s",
                        strempty(ec2.snapshot));
        (void) snprintf(volume->stack_id, sizeof(volume->stack_id), "%s", strempty(ec2.stack));
        MachineStatus machine;
        int r = run_rows(&step, 1, mode, &machine, err);
        *status = machine.steps[0];
        return r;
}

static void put(uint64_t at, const void *data, size_t n)
{
        int fd = open(loop, O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && pwrite(fd, data, n, (off_t) at) == (ssize_t) n && fsync(fd) == 0);
        (void) close(fd);
}

/* Random bytes, as an encrypted volume reads that nobody has written. */
static void put_noise(uint64_t at, size_t n)
{
        static unsigned char noise[MIB];
        for (size_t done = 0; done < n; done += sizeof(noise)) {
                size_t part = n - done < sizeof(noise) ? n - done : sizeof(noise);
                CHECK(getrandom(noise, part, 0) == (ssize_t) part);
                put(at + done, noise, part);
        }
}

/* A volume that this stack made, with noise at its ends; elsewhere it reads as zeros. */
static bool fresh_noise(void)
{
        static char stack[] = STACK;
        bool made = fresh(SIZE / MIB);
        boot.config.stack_name = stack;
        boot.overrides.format_volume = false;
        ec2.encrypted = true;
        ec2.snapshot = "";
        ec2.stack = STACK;
        (void) snprintf(record_key, sizeof(record_key), "pki/volumes/%s.json", volume_id);
        if (made) {
                put_noise(0, 2 * MIB);
                put_noise(SIZE - 2 * MIB, 2 * MIB);
        }
        return made;
}

/* Keeps a copy of the disk, for unchanged(). */
static void keep_copy(void)
{
        CHECK(COMMAND(NULL, "/bin/cp", "--sparse=always", image, "/var/lib/copy"));
}

static bool unchanged(void)
{
        CHECK(COMMAND(NULL, "/bin/sync", loop));
        return COMMAND(NULL, "/usr/bin/cmp", image, "/var/lib/copy");
}

static void check_formatted(int line)
{
        StepStatus status;
        Error err = {};
        int r = run(MACHINE_CONVERGE, &status, &err);
        if (r < 0) {
                test_fail(__FILE__, line, "%s", err.message);
                return;
        }
        if (!COMMAND(NULL, "/sbin/e2fsck", "-fn", loop)) {
                test_fail(__FILE__, line, "e2fsck -fn found errors");
        }
        CHECK_CONTAINS(bucket_body(record_key), "\"state\": \"formatted\"");
        _cleanup_buffer_ Buffer uuid = {};
        CHECK(COMMAND(&uuid, "/sbin/blkid", "-p", "-s", "UUID", "-o", "value", loop));
        CHECK_CONTAINS(bucket_body(record_key), uuid.data ? string_strip_end(uuid.data) : "none");
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK_INT(status.attempts, 0);
}
#define CHECK_FORMATTED() check_formatted(__LINE__)

static void check_refused(int line, const char *word)
{
        StepStatus status;
        Error err = {};
        keep_copy();
        if (run(MACHINE_CONVERGE, &status, &err) >= 0) {
                test_fail(__FILE__, line, "it was formatted");
                return;
        }
        CHECK(unchanged());
        CHECK_INT(err.class, ERROR_UNSAFE);
        if (!strstr(err.message, word)) {
                test_fail(__FILE__, line, "\"%s\" lacks \"%s\"", err.message, word);
        }
        CHECK_CONTAINS(err.message, volume_id);
        CHECK_CONTAINS(err.message, "Nothing was written");
        CHECK_CONTAINS(err.message, "--format-volume"); /* the end is not cut */
}
#define CHECK_REFUSAL(word) check_refused(__LINE__, word)

/* The whole table: each content with each record, with and without each proof. Expected is what
 * DESIGN's rules say, written down anew. */
static void decision_table(void)
{
        for (unsigned bits = 0; bits < 1 << 5; bits++) {
                for (DiskContent content = 0; content < _DISK_CONTENT_MAX; content++) {
                        const FormatScene scene = {
                                .content = content,
                                .has_record = bits & 1,
                                .state = bits & 2 ? FORMAT_FORMATTED : FORMAT_FORMATTING,
                                .named = bits & 4,
                                .is_stacks_own = bits & 8,
                                .given_up = bits & 16,
                        };
                        bool was_formatted = (bits & 3) == 3, was_begun = (bits & 3) == 1;
                        bool has_word = scene.is_stacks_own || content != DISK_NOISE;
                        FormatOutcome expected = FORMAT_REFUSE;
                        if (content == DISK_OURS) {
                                expected = was_begun ? FORMAT_SETTLE : FORMAT_DONE;
                        } else if (content == DISK_FOREIGN || content == DISK_CANNOT_TELL) {
                                expected = FORMAT_REFUSE;
                        } else if (scene.given_up) {
                                expected = FORMAT_MAKE;
                        } else if (was_formatted || content == DISK_UNRECOGNISED) {
                                expected = FORMAT_REFUSE;
                        } else if (content == DISK_INTERRUPTED || (!scene.named && has_word)) {
                                expected = FORMAT_MAKE;
                        }
                        CHECK_INT(format_decide(&scene), expected);
                }
        }
}

static void noise_of_this_stack(void)
{
        StepStatus status;
        Error err;
        REQUIRE(fresh_noise());
        put_noise(0, SIZE); /* the whole disk */
        keep_copy();
        CHECK(run(MACHINE_PLAN, &status, &err) <= 0);
        CHECK_INT(status.state, STEP_WOULD_APPLY);
        CHECK(unchanged());
        CHECK_STR(bucket_body(record_key), "");
        CHECK_FORMATTED();
}

/* Noise in one part of the edges only, and noise that imitates a signature. */
static void partial_noise(void)
{
        static const struct {
                uint64_t at, n;
        } parts[] = { { SIZE - MIB, MIB }, { MIB / 2, MIB / 2 }, { 60 * MIB, 4096 } };
        static const unsigned char hfsplus[] = { 'H', '+', 0, 4 };
        FOREACH_ARRAY(part, parts, ELEMENTS(parts)) {
                REQUIRE(fresh_noise());
                REQUIRE(fresh(SIZE / MIB));
                put_noise(part->at, part->n);
                CHECK_FORMATTED();
        }
        REQUIRE(fresh_noise());
        put(1024, hfsplus, sizeof(hfsplus));
        put(1024 + 40, (const unsigned char[]) { 0, 0, 16, 0 }, 4); /* its block size, 4096 */
        CHECK_FORMATTED();
        REQUIRE(fresh_noise());
        put(SIZE - 512, "JM", 2);
        CHECK_FORMATTED();
}

static void not_proven_new(void)
{
        static char plain_name[] = "kube";
        REQUIRE(fresh_noise());
        ec2.encrypted = false;
        CHECK_REFUSAL("it is not encrypted");
        ec2.encrypted = true;
        ec2.snapshot = "snap-0123456789abcdef0";
        CHECK_REFUSAL("made from snap-0123456789abcdef0");
        ec2.snapshot = "";
        ec2.stack = NULL;
        CHECK_REFUSAL("its tag aws:cloudformation:stack-id is \"\"");
        ec2.stack = STACK "-another";
        CHECK_REFUSAL("not STACK_NAME");
        ec2.stack = STACK;
        boot.config.stack_name = plain_name;
        CHECK_REFUSAL("\"kube\", not a stack's id");
        boot.config.stack_name = NULL;
        CHECK_REFUSAL("not a stack's id");
        CHECK_STR(bucket_body(record_key), "");
}

static void named_in_the_bucket(void)
{
        REQUIRE(fresh_noise());
        _cleanup_free_ char *claim = string_format(
                "{\"schema\":1,\"cluster_name\":\"test\",\"cluster_id\":\"" CLUSTER "\","
                "\"volume_id\":\"%s\",\"instance_id\":\"" INSTANCE "\",\"nonce\":\"n\","
                "\"created\":\"2026-01-01T00:00:00Z\"}",
                volume_id);
        bucket_fill("pki/claim", claim);
        CHECK_REFUSAL("claim in s3://bucket/pki names it");
        REQUIRE(fresh(SIZE / MIB)); /* nor one that reads as zeros */
        bucket_fill("pki/claim", claim);
        CHECK_REFUSAL("claim in s3://bucket/pki names it");
}

/* A marker of another name of the cluster, as an interrupted format before a correction leaves it.
 * A person can give it up, and nothing else can. */
static void marker_of_another_is_given_up(void)
{
        char sector[DISK_MARKER_BYTES];
        disk_marker_make(volume_id, "kb-another", UUID, sector);
        REQUIRE(fresh_noise());
        REQUIRE(fresh(SIZE / MIB));
        put(disk_marker_offset(SIZE), sector, sizeof(sector));
        CHECK_REFUSAL("the mark of another volume's unfinished formatting");
        boot.overrides.format_volume = true;
        CHECK_FORMATTED();
        boot.overrides.format_volume = false;
}

static void put_marker(void)
{
        char sector[DISK_MARKER_BYTES];
        disk_marker_make(volume_id, "kb-9f86d081884c", UUID, sector);
        put(disk_marker_offset(SIZE), sector, sizeof(sector));
}

/* Formatted, the mark not yet erased; then mounted by hand, and its signature lost. */
static void used_before_the_mark_went(void)
{
        static const unsigned char mounts[2] = { 1, 0 }, magic[2] = { 0, 0 };
        REQUIRE(fresh_noise());
        REQUIRE(fresh(SIZE / MIB));
        CHECK(COMMAND(NULL, "/sbin/mkfs.ext4", "-q", "-b", "4096", "-U", UUID, "-L",
                      "kb-9f86d081884c", "-E", "nodiscard", loop, "18176"));
        put_marker();
        put(1024 + 0x34, mounts, sizeof(mounts));
        CHECK_REFUSAL("changed by another after its making was interrupted");
        put(1024 + 0x38, magic, sizeof(magic));
        CHECK_REFUSAL("changed by another after its making was interrupted");
}

/* Data between random blocks, and signatures that random bytes do not imitate by chance. */
static void data_is_no_noise(void)
{
        static unsigned char text[4096];
        memset(text, 'x', sizeof(text));
        REQUIRE(fresh_noise());
        put(2 * 4096, text, sizeof(text));
        CHECK_REFUSAL("unrecognised data at byte 8192");
        REQUIRE(fresh(SIZE / MIB));
        CHECK(COMMAND(NULL, "/sbin/mkswap", loop));
        CHECK_REFUSAL("expected nothing");
}

static void formatted_is_never_new_again(void)
{
        REQUIRE(fresh_noise());
        CHECK_FORMATTED();
        put_noise(0, SIZE);
        CHECK_REFUSAL("was formatted on 20");
        static const unsigned char zero[MIB] = {};
        for (unsigned i = 0; i < SIZE / MIB; i++) {
                put(i * MIB, zero, MIB);
        }
        CHECK_REFUSAL("was formatted on 20");
        boot.overrides.format_volume = true; /* a person says otherwise */
        CHECK_FORMATTED();
        boot.overrides.format_volume = false;
}

static void a_person_gives_it_up(void)
{
        static unsigned char text[4096];
        memset(text, 'x', sizeof(text));
        REQUIRE(fresh_noise());
        ec2.encrypted = false;
        put(0, text, sizeof(text));
        boot.overrides.format_volume = true;
        CHECK_FORMATTED();
        REQUIRE(fresh(SIZE / MIB));
        CHECK(COMMAND(NULL, "/sbin/mkswap", loop));
        boot.overrides.format_volume = true; /* but not what is known */
        CHECK_REFUSAL("swap");
        boot.overrides.format_volume = false;
}

static void put_begun_record(void)
{
        _cleanup_free_ char *record = string_format(
                "{\"schema\":1,\"state\":\"formatting\",\"cluster_name\":\"test\","
                "\"volume_id\":\"%s\",\"instance_id\":\"" HOLDER "\",\"uuid\":\"" UUID "\","
                "\"created\":\"2026-01-01T00:00:00Z\"}",
                volume_id);
        bucket_fill(record_key, record);
}

/* The record says `formatting`: the disk as a kill leaves it after each write. */
static void begun_goes_on(void)
{
        static const unsigned char zero[MIB] = {};
        for (unsigned written = 0; written < 4; written++) {
                REQUIRE(fresh_noise());
                ec2.encrypted = written < 3; /* from the marker on, that alone decides */
                put_begun_record();
                if (written > 0) {
                        put(0, zero, MIB);
                }
                if (written > 1) {
                        put(SIZE - MIB, zero, MIB);
                }
                if (written > 2) {
                        put_marker();
                }
                CHECK_FORMATTED();
                CHECK_CONTAINS(bucket_body(record_key), UUID);
        }
}

/* The mark was at the end that the disk had when mkfs was killed. */
static void enlarged_after_a_kill(void)
{
        Error err = {};
        REQUIRE(fresh_noise());
        REQUIRE(fresh(SIZE / MIB));
        put_begun_record();
        put_marker();
        put(MIB, "inodes", 6);
        CHECK(truncate(image, (off_t) (2 * SIZE)) == 0);
        CHECK(COMMAND(NULL, "/sbin/losetup", "--set-capacity", loop));
        CHECK_INT(blockdev_find(volume_id, NULL, &boot.volume, &err), 1);
        CHECK_REFUSAL("it has changed since, or has grown");
        boot.overrides.format_volume = true;
        CHECK_FORMATTED();
        boot.overrides.format_volume = false;
}

/* A record whose answer is lost is recognised; one of another is not taken over. */
static void answers_get_lost(void)
{
        REQUIRE(fresh_noise());
        bucket_lost_answers = 1;
        CHECK_FORMATTED();
        CHECK_INT(bucket_lost_answers, 0);
}

static char *respond_late(const char *request, unsigned number)
{
        static const char late[] = "{\"schema\":1,\"state\":\"formatting\",\"cluster_name\":"
                                   "\"test\",\"volume_id\":\"%s\",\"instance_id\":\"" INSTANCE
                                   "\",\"uuid\":\"" UUID "\",\"created\":\"2026-01-01T00:00:00Z\"}";
        if (string_starts_with(request, "PUT ") && !bucket_body(record_key)[0]) {
                char record[512];
                (void) snprintf(record, sizeof(record), late, volume_id);
                bucket_fill(record_key, record);
        }
        return respond(request, number);
}

/* An earlier write of this instance lands between the look and the write: nothing is written to the
 * disk, the daemon is started again, and goes on with that record. */
static void a_late_record_is_adopted(void)
{
        StepStatus status;
        Error err = {};
        REQUIRE(fresh_noise());
        keep_copy();
        server_reset(&server, respond_late);
        CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
        server_reset(&server, respond);
        CHECK_STR(error_class_to_string(err.class), "retry");
        CHECK_CONTAINS(err.message, "its writer is " INSTANCE);
        CHECK(unchanged());
        CHECK_FORMATTED();
        CHECK_CONTAINS(bucket_body(record_key), UUID);
}

/* Ours, and the record says `formatting`: killed before the last write. */
static void whole_is_settled(void)
{
        StepStatus status;
        Error err = {};
        REQUIRE(fresh_noise());
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        _cleanup_free_ char *record = strdup(bucket_body(record_key));
        REQUIRE(record);
        char *state = strstr(record, "formatted\"");
        REQUIRE(state);
        _cleanup_free_ char *before =
                string_format("%.*sformatting\"%s", (int) (state - record), record, state + 10);
        bucket_fill(record_key, before);
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK_INT(status.attempts, 1);
        CHECK_CONTAINS(bucket_body(record_key), "\"state\": \"formatted\"");
        bucket_clear(); /* from before there were records */
        CHECK_OK(run(MACHINE_CONVERGE, &status, &err), err);
        CHECK_INT(status.attempts, 0);
        CHECK_STR(bucket_body(record_key), "");
}

/* Nothing is written to the disk where the record cannot be. */
static void no_record_no_write(void)
{
        StepStatus status;
        Error err = {};
        REQUIRE(fresh_noise());
        keep_copy();
        bucket_fill(record_key, "{\"schema\":1}");
        CHECK(run(MACHINE_CONVERGE, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);
        CHECK_CONTAINS(err.message, "record of the volume's formatting");
        CHECK_CONTAINS(err.message, record_key);
        CHECK_CONTAINS(err.message, "or delete it if nothing was kept on the volume");
        CHECK(unchanged());
}

int main(void)
{
        static const TestCase cases[] = {
                { "noise on an encrypted volume of this stack is formatted", noise_of_this_stack },
                { "noise in a part, or that imitates a signature, is formatted", partial_noise },
                { "noise that EC2 does not vouch for is refused", not_proven_new },
                { "noise on a volume that the bucket names is refused", named_in_the_bucket },
                { "data among random blocks is refused", data_is_no_noise },
                { "another's mark is given up by a person alone", marker_of_another_is_given_up },
                { "what was used under the mark is not made again", used_before_the_mark_went },
                { "what was formatted is never new again", formatted_is_never_new_again },
                { "a person may give up what nobody knows", a_person_gives_it_up },
                { "what was begun goes on with its UUID", begun_goes_on },
                { "a volume enlarged after a kill is refused, and told so", enlarged_after_a_kill },
                { "a record whose answer is lost is recognised", answers_get_lost },
                { "a record that came late is adopted", a_late_record_is_adopted },
                { "a whole filesystem settles its record", whole_is_settled },
                { "without a record nothing is written", no_record_no_write },
        };
        start_world_with_bucket();
        server_reset(&server, respond);
        bool possible = volumes_are_possible();
        test_case("the decision follows from the scene, all combinations", decision_table);
        test_cases_if(possible, "root and loop devices", cases, ELEMENTS(cases));
        detach();
        return test_done();
}
