/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "engine/state_file.h"
#include "harness.h"

static int nothing(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        (void) context;
        (void) err;
        return 1;
}

static const Step steps[] = { { .name = "config", .probe = nothing },
                              { .name = "volume-attach", .probe = nothing },
                              { .name = "node-only", .probe = nothing } };

static const StateFileHead head = { .instance_id = "i-0123456789abcdef0",
                                    .role = "master",
                                    .runtime = "containerd",
                                    .boot_id = "6bd6a5c0-0000-4000-8000-000000000001",
                                    .pid = 4711,
                                    .daemon = 815,
                                    .running = true };

#define HEAD "\"schema\":1,\"phase\":\"ready\",\"since\":\"2026-01-02T03:04:05.000006Z\",\"pid\":1"

static Error error;

static MachineStatus sample(void)
{
        MachineStatus s = { .phase = PHASE_CONVERGING,
                            .since_us = 1767323045000006,
                            .n_steps = 3,
                            .table = steps };
        s.steps[0] = (StepStatus) { .runs_here = true,
                                    .state = STEP_DONE,
                                    .started_us = 1767323045000007,
                                    .finished_us = 1767323046999999,
                                    .looked_us = 1767323048000001,
                                    .warning = "line 3: unknown key" };
        s.steps[1] = (StepStatus) { .runs_here = true,
                                    .state = STEP_BACKOFF,
                                    .attempts = 3,
                                    .started_us = 1767323047000000,
                                    .next_retry_us = 1767323050500000,
                                    .waiting_for = "vol-1: attached to i-2",
                                    .reason = "the volume is available" };
        (void) error_set(&s.steps[1].error, ERROR_RETRY, EBUSY, "say \"busy\"\n\ttwice \\");
        s.steps[1].error.http_status = 400;
        (void) snprintf(s.steps[1].error.aws_code, sizeof(s.steps[1].error.aws_code),
                        "VolumeInUse");
        return s;
}

static const char *sample_text(void)
{
        return "{\"schema\":1,\"instance_id\":\"i-0123456789abcdef0\",\"role\":\"master\","
               "\"runtime\":\"containerd\","
               "\"phase\":\"converging\",\"since\":\"2026-01-02T03:04:05.000006Z\","
               "\"boot_id\":\"6bd6a5c0-0000-4000-8000-000000000001\",\"pid\":4711,"
               "\"daemon\":815,\"running\":true,\"looked\":\"2026-01-02T03:04:08.000001Z\","
               "\"steps\":["
               "{\"name\":\"config\",\"state\":\"done\",\"attempts\":0,"
               "\"started\":\"2026-01-02T03:04:05.000007Z\","
               "\"finished\":\"2026-01-02T03:04:06.999999Z\","
               "\"looked\":\"2026-01-02T03:04:08.000001Z\",\"waiting_for\":null,"
               "\"reason\":null,\"next_retry\":null,\"warning\":\"line 3: unknown "
               "key\",\"error\":null},"
               "{\"name\":\"volume-attach\",\"state\":\"backoff\",\"attempts\":3,"
               "\"started\":\"2026-01-02T03:04:07.000000Z\",\"finished\":null,"
               "\"looked\":null,\"waiting_for\":\"vol-1: attached to i-2\","
               "\"reason\":\"the volume is "
               "available\",\"next_retry\":\"2026-01-02T03:04:10.500000Z\",\"warning\":null,"
               "\"error\":{"
               "\"class\":\"retry\",\"message\":\"say \\\"busy\\\"\\n\\ttwice \\\\\",\"errno\":16,"
               "\"http_status\":400,\"aws_code\":\"VolumeInUse\",\"request_id\":null}}]}\n";
}

static void test_contract(void)
{
        MachineStatus status = sample();
        _cleanup_buffer_ Buffer text = {};
        REQUIRE(state_file_format(&head, &status, &text, &error) >= 0);
        CHECK_STR(text.data, sample_text());
}

static void test_there_and_back(void)
{
        _cleanup_free_ char *path = string_format("%s/state.json", test_folder());
        REQUIRE(path);
        MachineStatus status = sample();
        static StateFile back;
        CHECK_OK(state_file_write(path, &head, &status, &error), error);
        REQUIRE(state_file_read(path, steps, 3, &back, &error) >= 0);
        CHECK_STR(back.instance_id, head.instance_id);
        CHECK_STR(back.role, head.role);
        CHECK_STR(back.runtime, head.runtime);
        CHECK_STR(back.boot_id, head.boot_id);
        CHECK_INT(back.pid, head.pid);
        CHECK_INT(back.daemon, head.daemon);
        CHECK(back.running);
        CHECK_INT(back.status.phase, status.phase);
        CHECK(back.status.since_us == status.since_us);
        for (size_t i = 0; i < 3; i++) {
                CHECK(memcmp(&back.status.steps[i], &status.steps[i], sizeof(StepStatus)) == 0);
        }
        struct stat st;
        REQUIRE(stat(path, &st) == 0);
        CHECK_INT(st.st_mode & 07777, 0644);
}

static void test_nothing_known(void)
{
        MachineStatus status = { .n_steps = 3, .table = steps };
        const StateFileHead none = {
                .instance_id = "", .role = "", .runtime = "", .boot_id = "", .pid = 1
        };
        static StateFile back;
        _cleanup_buffer_ Buffer text = {};
        CHECK_OK(state_file_format(&none, &status, &text, &error), error);
        CHECK_STR(text.data, "{\"schema\":1,\"instance_id\":null,\"role\":null,\"runtime\":null,"
                             "\"phase\":\"starting\","
                             "\"since\":null,\"boot_id\":null,\"pid\":1,"
                             "\"daemon\":null,\"running\":false,\"looked\":null,\"steps\":[]}\n");
        CHECK_OK(state_file_parse(text.data, text.size, steps, 3, &back, &error), error);
        CHECK(!back.status.steps[0].runs_here);
}

static void test_outside_bytes(void)
{
        /* a message cut within a character, and one with bytes that are no text at all */
        MachineStatus status = sample();
        _cleanup_buffer_ Buffer text = {};
        (void) snprintf(status.steps[1].error.message, 64, "caf\xc3");
        (void) snprintf(status.steps[1].waiting_for, 64, "\xff\xfe\x01");
        CHECK_OK(state_file_format(&head, &status, &text, &error), error);
        CHECK_CONTAINS(text.data, "\"message\":\"caf?\"");
        CHECK_CONTAINS(text.data, "\"waiting_for\":\"??\\u0001\"");
}

static void test_refusals(void)
{
        const struct {
                const char *text, *message;
        } cases[] = {
                { "", "not JSON" },
                { "[]", "not JSON of an object" },
                { "{\"schema\":1", "not JSON" },
                { "{\"schema\":1,\"schema\":1}", "not JSON" },
                { "{\"schema\":2,\"phase\":\"ready\",\"steps\":[]}", "\"schema\"" },
                { "{\"schema\":\"1\",\"phase\":\"ready\",\"steps\":[]}", "\"schema\"" },
                { "{\"schema\":1,\"phase\":\"happy\",\"steps\":[]}", "\"phase\"" },
                { "{\"schema\":1,\"steps\":[]}", "\"phase\"" },
                { "{" HEAD "}", "\"steps\"" },
                { "{" HEAD ",\"steps\":{}}", "\"steps\"" },
                { "{" HEAD ",\"steps\":[1]}", "no object" },
                { "{" HEAD ",\"steps\":[{\"state\":\"done\"}]}", "\"name\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"other\",\"state\":\"done\"}]}", "\"name\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"done\"},"
                  "{\"name\":\"config\",\"state\":\"done\"}]}",
                  "\"name\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"dancing\"}]}",
                  "config: \"state\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"done\",\"attempts\":-1}]}",
                  "config: \"attempts\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"done\","
                  "\"attempts\":4294967296}]}",
                  "config: \"attempts\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"done\","
                  "\"started\":\"yesterday\"}]}",
                  "config: \"started\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"done\","
                  "\"started\":\"2026-01-02T03:04:05.12345xZ\"}]}",
                  "config: \"started\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"done\",\"error\":[]}]}",
                  "config: \"error\"" },
                { "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"done\","
                  "\"error\":{\"class\":\"odd\"}}]}",
                  "config: \"class\"" },
        };
        static StateFile back;
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                error = (Error) {};
                int r = state_file_parse(c->text, strlen(c->text), steps, 3, &back, &error);
                if (r >= 0) {
                        test_fail(__FILE__, __LINE__, "accepted: %s", c->text);
                        continue;
                }
                CHECK_INT(error.class, ERROR_CONFIG);
                CHECK_CONTAINS(error.message, c->message);
        }
}

static void test_too_long(void)
{
        char text[1024], *end = text;
        static StateFile back;
        end += sprintf(end, "{" HEAD ",\"steps\":[{\"name\":\"config\",\"state\":\"done\","
                            "\"waiting_for\":\"");
        memset(end, 'x', STEP_WAITING_FOR_MAX); /* one more than fits */
        (void) strcpy(end + STEP_WAITING_FOR_MAX, "\"}]}");
        CHECK(state_file_parse(text, strlen(text), steps, 3, &back, &error) < 0);
        CHECK_CONTAINS(error.message, "config: \"waiting_for\"");
        (void) strcpy(end + STEP_WAITING_FOR_MAX - 1, "\"}]}");
        CHECK_OK(state_file_parse(text, strlen(text), steps, 3, &back, &error), error);

        _cleanup_free_ char *path = string_format("%s/large", test_folder());
        _cleanup_free_ char *large = calloc(1, STATE_FILE_MAX_BYTES + 1);
        REQUIRE(path && large);
        CHECK_OK(file_write(path, large, STATE_FILE_MAX_BYTES + 1, 0644, &error), error);
        CHECK_INT(state_file_read(path, steps, 3, &back, &error), -EFBIG);
}

static void test_later_members(void)
{
        static StateFile back;
        const char *text = "{" HEAD ",\"new\":[1,2],\"steps\":[{\"name\":\"config\","
                           "\"state\":\"done\",\"also_new\":{}}]}";
        CHECK_OK(state_file_parse(text, strlen(text), steps, 3, &back, &error), error);
        CHECK(back.status.steps[0].runs_here);
}

/* Who reads it while it is written sees the old document or the new one, and one that cannot be
 * written leaves the old one. */
static void test_replaced(void)
{
        static StateFile back;
        struct rlimit limit = { .rlim_cur = 10 }, before;
        MachineStatus status = sample();
        _cleanup_free_ char *path = string_format("%s/replaced.json", test_folder());
        REQUIRE(path);
        CHECK_OK(state_file_write(path, &head, &status, &error), error);
        FILE *reader = fopen(path, "re");
        REQUIRE(reader);
        status.phase = PHASE_READY;
        CHECK_OK(state_file_write(path, &head, &status, &error), error);
        char text[4096] = "";
        size_t n = fread(text, 1, sizeof(text) - 1, reader);
        CHECK_INT(n, strlen(sample_text()));
        CHECK_STR(text, sample_text());
        (void) fclose(reader);

        CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &before) == 0);
        limit.rlim_max = before.rlim_max;
        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        status.phase = PHASE_FAILED;
        CHECK_INT(state_file_write(path, &head, &status, &error), -EFBIG);
        CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
        CHECK_OK(state_file_read(path, steps, 3, &back, &error), error);
        CHECK_INT(back.status.phase, PHASE_READY);
}

static void test_missing(void)
{
        static StateFile back;
        _cleanup_free_ char *path = string_format("%s/none", test_folder());
        REQUIRE(path);
        CHECK_INT(state_file_read(path, steps, 3, &back, &error), -ENOENT);
}

int main(void)
{
        test_case("the document is the contract's", test_contract);
        test_case("what is written is read back", test_there_and_back);
        test_case("what is not known is null", test_nothing_known);
        test_case("bytes that are no text", test_outside_bytes);
        test_case("what does not fit is refused, and named", test_refusals);
        test_case("what is too long is refused", test_too_long);
        test_case("members of a later version are left alone", test_later_members);
        test_case("the file is replaced whole", test_replaced);
        test_case("a missing file", test_missing);
        return test_done();
}
