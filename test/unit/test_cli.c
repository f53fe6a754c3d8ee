/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs as a person or a script sees them: output and exit status, over fake steps. */
#include <signal.h>

#include "cli_world.h"

#include "base/file.h"
#include "cli/text.h"

static Program program, other;

/* The steps with an apply that a master with docker runs, as world_reset() makes it. */
static int applied_by_a_master(void)
{
        int n = 0;
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                n += boot_steps[id].apply && (boot_steps[id].runs_on & KIND_DOCKER_MASTER);
        }
        return n;
}

static void test_run(void)
{
        world_reset();
        CHECK_INT(program_run(&program, WORDS("run", NULL)), 0);
        CHECK_CONTAINS(program.output, "volume-format: applying");
        CHECK_CONTAINS(program.output, "volume-format: done");
        CHECK_CONTAINS(program.output, "converging\n");
        CHECK_CONTAINS(program.output, "ready\n");
        CHECK(!strstr(program.output, "\033")); /* piped: no escape sequences */
        CHECK_INT(world_applies(), applied_by_a_master());

        _cleanup_buffer_ Buffer state = {};
        Error error = {};
        CHECK_OK(file_read(runtime_path("state.json"), 1 << 20, &state, &error), error);
        CHECK_CONTAINS(state.data, "\"phase\":\"ready\"");
        CHECK_CONTAINS(state.data, "\"instance_id\":\"i-0123456789abcdef0\",\"role\":\"master\","
                                   "\"runtime\":\"docker\"");

        /* again, and without the verb: nothing to do */
        CHECK_INT(program_run(&program, WORDS(NULL)), 0);
        CHECK_INT(world_applies(), applied_by_a_master());
        CHECK(!strstr(program.output, "applying"));
}

static void test_from(void)
{
        world_reset();
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                world->so[id] = 1;
        }
        CHECK_INT(program_run(&program, WORDS("run", "--from", "volume-attach")), 0);
        CHECK_INT(world->applies[BOOT_VOLUME_ATTACH], 1);
        CHECK_INT(world->applies[BOOT_VOLUME_FORMAT], 0); /* can destroy data */
        CHECK_INT(world->applies[BOOT_ETCD], 1);
        CHECK_INT(world->applies[BOOT_KUBELET], 1);
        CHECK_INT(world->applies[BOOT_DOCKER_BOOTSTRAP], 0);
}

static void test_exit_statuses(void)
{
        const struct {
                ErrorClass class;
                int status;
        } cases[] = {
                { ERROR_FATAL, 1 },   { ERROR_RETRY, 75 },  { ERROR_CONFIG, 78 },
                { ERROR_DENIED, 77 }, { ERROR_UNSAFE, 65 },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                world_reset();
                world->class = c->class;
                world->apply_fails[BOOT_VOLUME_FORMAT] = 1; /* never tried again */
                CHECK_INT(program_run(&program, WORDS("run")), c->status);
                CHECK_CONTAINS(program.output, "volume-format: failed: the apply refused");
                CHECK_CONTAINS(program.output, "kube-bootstrap: volume-format: the apply refused");
                CHECK_INT(world->probes[BOOT_VOLUME_MOUNT], 0);
                CHECK_INT(program_run(&program, WORDS("status")), 1);
                CHECK_CONTAINS(program.output, "failed for");
                CHECK_CONTAINS(program.output, "needs volume-format (failed)");
        }
}

static void test_denial_warning(void)
{
        world_reset();
        world->class = ERROR_DENIED;
        world->fails[BOOT_SOURCE_DEST_CHECK] = 1;
        CHECK_INT(program_run(&program, WORDS("run")), 0);
        CHECK_CONTAINS(program.output, "source-dest-check: done: warning: the probe refused");
}

static void test_status(void)
{
        world_reset();
        CHECK_INT(program_run(&program, WORDS("status")), 2);
        CHECK_CONTAINS(program.output, "starting: no run has reported a status");
        CHECK_INT(program_run(&program, WORDS("status", "--json")), 2);
        CHECK_STR(program.output, "{\"schema\":1,\"instance_id\":null,\"role\":null,\"runtime\":"
                                  "null,\"phase\":\"starting\","
                                  "\"since\":null,\"boot_id\":null,\"pid\":0,\"daemon\":null,"
                                  "\"running\":false,\"looked\":null,\"steps\":[]}\n");
        CHECK_INT(program_run(&program, WORDS("status", "--wait=1")), 2);

        /* a run by hand, and nobody who goes on looking */
        CHECK_INT(program_run(&program, WORDS("run")), 0);
        CHECK_INT(program_run(&program, WORDS("status")), 3);
        CHECK(string_starts_with(program.output, "the daemon is not running "
                                                 "(kube-bootstrap.service): last looked "));
        CHECK_CONTAINS(program.output, "ready for ");
        CHECK_CONTAINS(program.output,
                       "master i-0123456789abcdef0 with docker, 24 of 24 steps done, looked ");
        CHECK_CONTAINS(program.output, "  volume-mount        done ");
        CHECK_INT(program_run(&program, WORDS("status", "--wait=1", "--json")), 3);
        CHECK_CONTAINS(program.output, "\"phase\":\"ready\"");
}

/* A machine that is ready, each step looked at just now. */
static MachineStatus ready_machine(void)
{
        MachineStatus status = { .phase = PHASE_READY,
                                 .since_us = text_now_us(),
                                 .table = boot_steps,
                                 .n_steps = _BOOT_STEP_MAX };
        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                status.steps[id] =
                        (StepStatus) { .runs_here = boot_steps[id].runs_on & KIND_DOCKER_MASTER,
                                       .state = STEP_DONE,
                                       .looked_us = status.since_us };
        }
        return status;
}

static void write_state(const MachineStatus *status, int pid, int daemon)
{
        static Runtime runtime;
        Error err = {};
        CHECK_OK(runtime_init(&runtime, &err), err);
        CHECK_OK(runtime_make_folder(&runtime, &err), err);
        const StateFileHead head = { .instance_id = "i-1",
                                     .role = "master",
                                     .runtime = "docker",
                                     .boot_id = runtime.boot_id,
                                     .pid = pid,
                                     .daemon = daemon };
        CHECK_OK(state_file_write(runtime.state, &head, status, &err), err);
}

static void test_status_is_believed(void)
{
        const uint64_t minutes = 60 * UINT64_C(1000000);
        const int alive = (int) getpid();
        program_start(&other, false, WORDS("version"));
        CHECK_INT(program_end(&other), 0);
        const int gone = other.pid;
        MachineStatus status = ready_machine();
        world_reset();
        write_state(&status, alive, alive);
        CHECK_INT(program_run(&program, WORDS("status")), 0);
        CHECK(string_starts_with(program.output, "ready for "));
        CHECK_CONTAINS(program.output, ": master i-1 with docker, 24 of 24 steps done, looked ");

        write_state(&status, gone, alive); /* a run by hand that has just ended */
        CHECK_INT(program_run(&program, WORDS("status")), 0);
        write_state(&status, gone, gone);
        CHECK_INT(program_run(&program, WORDS("status")), 3);
        CHECK_CONTAINS(program.output, "the daemon is not running");
        CHECK_INT(program_run(&program, WORDS("status", "--json")), 3);

        /* steps are looked at more or less often */
        status.steps[BOOT_SOURCE_DEST_CHECK].looked_us -= 20 * minutes;
        write_state(&status, alive, alive);
        CHECK_INT(program_run(&program, WORDS("status")), 0);
        status.steps[BOOT_KUBELET].looked_us -= 12 * minutes;
        write_state(&status, alive, alive);
        CHECK_INT(program_run(&program, WORDS("status")), 3);
        CHECK(string_starts_with(program.output, "kubelet: last looked 12 min "));
        CHECK_CONTAINS(program.output, "ready for ");
        status.steps[BOOT_KUBELET].runs_here = false; /* another role's */
        write_state(&status, alive, alive);
        CHECK_INT(program_run(&program, WORDS("status")), 0);
}

/* An image may carry it, or /run may be kept. */
static void test_state_of_an_earlier_boot(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        world_reset();
        CHECK_INT(program_run(&program, WORDS("run")), 0);
        CHECK_OK(file_read(runtime_path("state.json"), 65536, &text, &err), err);
        char *id = text.data ? strstr(text.data, "\"boot_id\":\"") : NULL;
        REQUIRE(id);
        id += strlen("\"boot_id\":\"");
        *id = *id == '0' ? '1' : '0';
        CHECK_OK(file_write(runtime_path("state.json"), text.data, text.size, 0644, &err), err);
        CHECK_INT(program_run(&program, WORDS("status")), 2);
        CHECK_CONTAINS(program.output, "starting: no run has reported a status");
}

static void test_status_wait_and_follow(void)
{
        static Program third;
        world_reset();
        world->probe_ms[BOOT_ETCD] = 300;
        /* both before the folder is there */
        program_start(&program, false, WORDS("status", "--follow"));
        program_start(&other, false, WORDS("status", "--wait=20"));
        program_start(&third, false, WORDS("run", "--resident"));
        CHECK(program_says(&program, "etcd: probing: the etcd of another world"));
        CHECK_INT(program_end(&program), 0);
        CHECK_CONTAINS(program.output, "ready\n");
        CHECK_INT(program_end(&other), 0);
        CHECK_CONTAINS(other.output, "24 of 24 steps done");
        (void) kill(third.pid, SIGTERM);
        CHECK_INT(program_end(&third), 0);
}

static bool is_refused_with(const char *text)
{
        return program_run(&other, WORDS("run", "--no-follow")) == 4 && strstr(other.output, text);
}

static void test_second_run(void)
{
        world_reset();
        world->probe_ms[BOOT_ETCD] = 2000;
        program_start(&program, false, WORDS("run"));
        REQUIRE(program_says(&program, "etcd: probing"));
        _cleanup_free_ char *pid = string_format("pid %d", program.pid);

        WORLD_UNTIL(is_refused_with(": etcd: the etcd of another world; "));
        CHECK_CONTAINS(other.output, pid);
        CHECK_INT(program_run(&other, WORDS("run", "--from=etcd")), 4);
        CHECK_CONTAINS(other.output, "these options need a run of their own");

        CHECK_INT(program_run(&other, WORDS("run")), 0);
        CHECK_CONTAINS(other.output, "following it");
        CHECK_CONTAINS(other.output, "ready\n");
        CHECK_INT(program_end(&program), 0);
        CHECK_INT(world->applies[BOOT_ETCD], 1);
}

static void test_followed_failure(void)
{
        world_reset();
        world->probe_ms[BOOT_ETCD] = 300;
        world->fails[BOOT_ETCD] = 1;
        world->class = ERROR_UNSAFE;
        program_start(&program, false, WORDS("run"));
        REQUIRE(program_says(&program, "etcd: probing"));
        CHECK_INT(program_run(&other, WORDS("run")), 65);
        CHECK_CONTAINS(other.output, "kube-bootstrap: etcd: the probe refused");
        CHECK_INT(program_end(&program), 65);
}

static void test_followed_death(void)
{
        world_reset();
        world->probe_ms[BOOT_ETCD] = 30000;
        program_start(&program, false, WORDS("run"));
        REQUIRE(program_says(&program, "etcd: probing"));
        program_start(&other, false, WORDS("run"));
        REQUIRE(program_says(&other, "following it"));
        (void) kill(program.pid, SIGKILL);
        CHECK_INT(program_end(&other), 75);
        CHECK_CONTAINS(other.output, "ended without a result");
        CHECK_INT(program_end(&program), -1);

        CHECK_INT(program_run(&other, WORDS("status")), 2);
        CHECK_CONTAINS(other.output, "the daemon is not running");

        /* its lock died with it */
        world->probe_ms[BOOT_ETCD] = 0;
        CHECK_INT(program_run(&other, WORDS("run")), 0);
}

static void test_interrupted(void)
{
        const int signals[] = { SIGINT, SIGTERM, SIGHUP };
        FOREACH_ARRAY(signal, signals, ELEMENTS(signals)) {
                world_reset();
                world->probe_ms[BOOT_ETCD] = 30000;
                program_start(&program, false, WORDS("run"));
                REQUIRE(program_says(&program, "etcd: probing"));
                uint64_t before = wait_now_ms();
                (void) kill(program.pid, *signal);
                CHECK_INT(program_end(&program), 2);
                CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
                CHECK_CONTAINS(program.output, "interrupted");
        }
}

static void test_plan(void)
{
        world_reset();
        world->so[BOOT_SOURCE_DEST_CHECK] = 1;
        CHECK_INT(program_run(&program, WORDS("plan")), 2);
        CHECK_INT(world_applies(), 0);
        CHECK_CONTAINS(program.output, "config              already so\n");
        CHECK_CONTAINS(program.output, "source-dest-check   already so\n");
        CHECK_CONTAINS(program.output,
                       "volume-attach       would do: the master volume is attached to this "
                       "instance (volume-attach is not as it was made)\n");
        CHECK_CONTAINS(program.output, "volume-format       unknown until volume-attach\n");
        CHECK_CONTAINS(program.output, "docker-bootstrap    would do: ");
        CHECK_CONTAINS(program.output, "etcd                unknown until ");
        CHECK_INT(program_run(&program, WORDS("plan", "--json")), 2);
        CHECK_CONTAINS(program.output, "{\"name\":\"volume-attach\",\"state\":\"would-apply\"");
        CHECK_CONTAINS(program.output, "\"reason\":\"volume-attach is not as it was made\"");
        CHECK_CONTAINS(program.output, "{\"name\":\"volume-format\",\"state\":\"unknown\"");
        CHECK_CONTAINS(program.output, "\"instance_id\":\"i-0123456789abcdef0\"");
        CHECK_INT(access(runtime_path(""), F_OK), -1); /* not even the folder */

        for (BootStep id = 0; id < _BOOT_STEP_MAX; id++) {
                world->so[id] = 1;
        }
        CHECK_INT(program_run(&program, WORDS("plan")), 0);

        world->probe_ms[BOOT_ETCD] = 60000;
        int probes = world->probes[BOOT_ETCD];
        program_start(&program, false, WORDS("plan"));
        WORLD_UNTIL(world->probes[BOOT_ETCD] > probes);
        (void) kill(program.pid, SIGINT);
        CHECK_INT(program_end(&program), 130);
        world->probe_ms[BOOT_ETCD] = 0;

        world->fails[BOOT_CONFIG] = 1;
        world->class = ERROR_CONFIG;
        CHECK_INT(program_run(&program, WORDS("plan")), 78);
        CHECK_CONTAINS(program.output, "config              cannot tell: the probe refused");
        CHECK_CONTAINS(program.output, "identity            unknown until config");
}

static void test_check_config(void)
{
        _cleanup_free_ char *path = string_format("%s/stack-config.sh", test_folder());
        _cleanup_free_ char *line = string_format("\n%s:", path);
        REQUIRE(path && line);
        const char bad[] = "KUBERNETES_ROLE=king\nCLUSTER_NAME=\"a; b\"\nODD_KEY=1\n";
        Error error = {};
        CHECK_OK(file_write(path, bad, sizeof(bad) - 1, 0644, &error), error);
        CHECK_INT(program_run(&program, WORDS("check-config", path)), 78);
        CHECK_CONTAINS(program.output, "stack-config.sh:1: ");
        CHECK_CONTAINS(program.output, line); /* one for each problem */
        CHECK_CONTAINS(program.output, "a; b");
        CHECK_CONTAINS(program.output, "S3_BUCKET is missing");
        CHECK_CONTAINS(program.output, "NODE_IAM_ROLE is missing"); /* the last, whole */
        CHECK_CONTAINS(program.output, "warning: ");
        CHECK_CONTAINS(program.output, ":3: unknown key ODD_KEY\n");

        const char *marker = runtime_path("../executed");
        _cleanup_free_ char *evil = string_format("KUBERNETES_ROLE=$(touch %s)\n", marker);
        REQUIRE(evil);
        CHECK_OK(file_write(path, evil, strlen(evil), 0644, &error), error);
        CHECK_INT(program_run(&program, WORDS("check-config", path)), 78);
        CHECK_CONTAINS(program.output, "stack-config.sh:1:17: ");
        CHECK_INT(access(marker, F_OK), -1);

        CHECK_INT(program_run(&program, WORDS("check-config", "/does/not/exist")), 78);
        CHECK_CONTAINS(program.output, "/does/not/exist does not exist");
}

static void test_small_verbs(void)
{
        CHECK_INT(program_run(&program, WORDS("graph")), 0);
        CHECK_CONTAINS(program.output, "\"kubelet\" [label=\"kubelet\", tooltip=");
        CHECK_CONTAINS(program.output, "\"docker\" [label=\"docker\\n(docker)\", tooltip=");
        CHECK_CONTAINS(program.output, "\"cni\" [label=\"cni\\n(containerd)\", tooltip=");
        CHECK_CONTAINS(program.output, "the overlay's subnet and MTU\", fillcolor=white]");
        CHECK_CONTAINS(program.output, "its data on the volume\", fillcolor=lightblue]");
        CHECK_CONTAINS(program.output, "digraph boot {");
        CHECK_CONTAINS(program.output, "\"volume-attach\" -> \"volume-format\";");
        CHECK_CONTAINS(program.output, "\"volume-mount\" -> \"secrets\" [style=dashed];");
        CHECK_INT(program_run(&program, WORDS("--version")), 0);
        CHECK_STR(program.output, "kube-bootstrap " VERSION "\n");
        CHECK_INT(program_run(&program, WORDS("help")), 0);
        CHECK_CONTAINS(program.output, "--no-follow");
        CHECK_INT(program_run(&program, WORDS("dance")), 64);
        CHECK_CONTAINS(program.output, "there is no verb \"dance\"");
}

static void test_person_only(void)
{
        world_reset();
        CHECK_INT(program_run(&program, WORDS("run", "--new-cluster")), 64);
        CHECK_CONTAINS(program.output, "run the command on a terminal");
        CHECK_INT(world->probes[BOOT_CONFIG], 0);
}

static void test_terminal(void)
{
        world_reset();
        world->held[BOOT_ETCD] = true;
        program_start(&program, true, WORDS("run"));
        REQUIRE(program_says(&program, "the etcd of another world"));
        Wait wait = test_patience();
        /* Drawn again while nothing changes: each drawing shows the time. */
        for (size_t n_drawn = 0; n_drawn < 4; n_drawn++) {
                size_t before = program.n;
                while (!strstr(program.output + before, "the etcd of another world")) {
                        REQUIRE(world_read(&program, &wait));
                }
        }
        world->held[BOOT_ETCD] = false;
        CHECK_INT(program_end(&program), 0);
        CHECK_CONTAINS(program.output, "\033[25A"); /* the head and all of 24 steps */
        CHECK_CONTAINS(program.output, "ready: 24 of 24 steps done");
}

static void test_folder_that_cannot_be(void)
{
        world_reset();
        CHECK(setenv(RUNTIME_FOLDER_VARIABLE, "/proc/nothing/here", 1) == 0);
        CHECK(program_run(&program, WORDS("run")) > 0);
        CHECK_CONTAINS(program.output, "/proc/nothing");
        CHECK_INT(world->probes[BOOT_CONFIG], 0);
        CHECK(setenv(RUNTIME_FOLDER_VARIABLE, "relative", 1) == 0);
        CHECK_INT(program_run(&program, WORDS("status")), 78);
}

static void test_trace(void)
{
        world_reset();
        CHECK_INT(program_run(&program, WORDS("run", "--verbose")), 0);
        CHECK_CONTAINS(program.output, "kube-bootstrap: file ");
        CHECK(!strstr(program.output, "expected debug"));
        world_reset();
        CHECK(setenv("KUBE_BOOTSTRAP_LOG", "loud", 1) == 0);
        CHECK_INT(program_run(&program, WORDS("run")), 0); /* a boot does not fail for that */
        CHECK_CONTAINS(program.output, "KUBE_BOOTSTRAP_LOG=loud: expected debug or info\n");
        CHECK(!strstr(program.output, "kube-bootstrap: file "));
        CHECK(unsetenv("KUBE_BOOTSTRAP_LOG") == 0);
}

int main(void)
{
        test_case("run converges, and once more changes nothing", test_run);
        test_case("run --from", test_from);
        test_case("exit statuses follow from the class", test_exit_statuses);
        test_case("a denial that is only a warning", test_denial_warning);
        test_case("status, and before anything ran", test_status);
        test_case("status is not ready where nobody looks any more", test_status_is_believed);
        test_case("the state of an earlier boot counts for nothing", test_state_of_an_earlier_boot);
        test_case("status --wait and --follow", test_status_wait_and_follow);
        test_case("a second run follows the first", test_second_run);
        test_case("its failure is the follower's", test_followed_failure);
        test_case("one that dies has no result, and no lock", test_followed_death);
        test_case("signals end a run at once", test_interrupted);
        test_case("plan changes nothing", test_plan);
        test_case("check-config names every problem and runs nothing", test_check_config);
        test_case("graph, version, help, usage", test_small_verbs);
        test_case("what only a person may decide needs a terminal", test_person_only);
        test_case("on a terminal the steps are redrawn in place", test_terminal);
        test_case("a runtime folder that cannot be", test_folder_that_cannot_be);
        test_case("a trace where it is asked for", test_trace);
        return test_done();
}
