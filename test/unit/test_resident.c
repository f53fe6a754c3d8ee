/* SPDX-License-Identifier: Apache-2.0 */
/* `run --resident`, as systemd starts it: what it tells, what it mends, and how it gives way. */
#include <sys/socket.h>
#include <sys/un.h>

#include "base/file.h"
#include "cli_world.h"

/* The table's rows in short, looked at again every second where the real ones take a minute. */
#define ROW(id, text, function, wants)      \
        [id] = { .name = text,              \
                 .makes_true = text,        \
                 .roles = ROLE_ALL,         \
                 .needs = wants,            \
                 .probe = function##_probe, \
                 .apply = function##_apply, \
                 .retry = { 2, 8 },         \
                 .reprobe_s = 1 }
#define AFTER(id) STEP_MASK(STEP_##id)

const StepRetry boot_again = { 100, 400 };

const Step boot_steps[_STEP_ID_MAX] = {
        [STEP_CONFIG] = { .name = "config",
                          .makes_true = "x",
                          .roles = ROLE_ALL,
                          .probe = config_probe },
        [STEP_IDENTITY] = { .name = "identity",
                            .makes_true = "x",
                            .roles = ROLE_ALL,
                            .needs = AFTER(CONFIG),
                            .probe = identity_probe },
        ROW(STEP_SOURCE_DEST_CHECK, "source-dest-check", source_dest_check, AFTER(IDENTITY)),
        ROW(STEP_VOLUME_ATTACH, "volume-attach", volume_attach, AFTER(IDENTITY)),
        ROW(STEP_VOLUME_FORMAT, "volume-format", volume_format, AFTER(VOLUME_ATTACH)),
        ROW(STEP_VOLUME_MOUNT, "volume-mount", volume_mount, AFTER(VOLUME_FORMAT)),
        ROW(STEP_ELASTIC_IP, "elastic-ip", elastic_ip, AFTER(IDENTITY)),
        ROW(STEP_PRIVATE_IP, "private-ip", private_ip, AFTER(IDENTITY)),
        ROW(STEP_SECRETS, "secrets", secrets, AFTER(IDENTITY)),
        ROW(STEP_DOCKER_BOOTSTRAP, "docker-bootstrap", docker_bootstrap, AFTER(IDENTITY)),
        ROW(STEP_ETCD, "etcd", etcd, AFTER(DOCKER_BOOTSTRAP)),
        ROW(STEP_FLANNEL_CONFIG, "flannel-config", flannel_config, AFTER(ETCD)),
        ROW(STEP_FLANNELD, "flanneld", flanneld, AFTER(FLANNEL_CONFIG)),
        ROW(STEP_DOCKER, "docker", docker, AFTER(FLANNELD)),
        ROW(STEP_KUBELET_CONFIG, "kubelet-config", kubelet_config, AFTER(IDENTITY)),
        ROW(STEP_STATIC_PODS, "static-pods", static_pods, AFTER(IDENTITY)),
        ROW(STEP_KUBELET, "kubelet", kubelet, AFTER(DOCKER)),
        ROW(STEP_KUBELET_JOIN, "kubelet-join", kubelet_join, AFTER(KUBELET)),
        ROW(STEP_ADDONS, "addons", addons, AFTER(KUBELET)),
        ROW(STEP_JOIN_TOKEN, "join-token", join_token, AFTER(ADDONS)),
        ROW(STEP_NODES, "nodes", nodes, AFTER(JOIN_TOKEN)),
        [STEP_READY] = { .name = "ready",
                         .makes_true = "x",
                         .roles = ROLE_ALL,
                         .needs = AFTER(NODES),
                         .probe = ready_probe },
};

static Program program, other;

/* Reads what systemd is told until `text` was: false when it was not for long. */
static bool systemd_hears(const char *text)
{
        for (;;) {
                char *found = strstr(systemd_heard, text);
                if (found) { /* what came before is forgotten, so that each is heard once */
                        found += strlen(text);
                        memmove(systemd_heard, found, strlen(found) + 1);
                        return true;
                }
                if (!world_read(NULL)) {
                        return false;
                }
        }
}

static char notify_path[100];

static void start(void)
{
        char text[256];
        while (recv(systemd_fd, text, sizeof(text), MSG_DONTWAIT) >= 0) {}
        systemd_heard[0] = '\0';
        (void) setenv("NOTIFY_SOCKET", notify_path, 1);
        program_start(&program, false, WORDS("run", "--resident"));
        (void) unsetenv("NOTIFY_SOCKET"); /* those by hand have none */
}

static int stop(void)
{
        (void) kill(program.pid, SIGTERM);
        return program_end(&program);
}

static void test_ready_and_stop(void)
{
        world_reset();
        start();
        CHECK(systemd_hears("STATUS=ready; 22 steps done"));
        CHECK(systemd_hears("READY=1"));
        CHECK_INT(program_run(&other, WORDS("status")), 0);
        CHECK_INT(stop(), 0);
        CHECK(systemd_hears("STOPPING=1"));
        CHECK_INT(program_run(&other, WORDS("status")), 0); /* outlives the daemon */
}

static void test_stopped_while_converging(void)
{
        world_reset();
        world->probe_ms[STEP_ETCD] = 30000;
        start();
        CHECK(systemd_hears("STATUS=etcd: the etcd of another world"));
        uint64_t before = wait_now_ms();
        CHECK_INT(stop(), 0);
        CHECK(wait_now_ms() - before < TEST_CUT_SHORT_MS);
}

static void test_mends(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        int before = world_applies();
        world->so[STEP_FLANNELD] = 0;
        CHECK(systemd_hears("STATUS=degraded: "));
        CHECK(systemd_hears("STATUS=ready; 22 steps done"));
        CHECK_INT(world->applies[STEP_FLANNELD], 2);
        CHECK_INT(world_applies(), before + 1);
        CHECK_INT(world->so[STEP_FLANNELD], 1);
        CHECK_INT(stop(), 0);
}

static void test_looks_without_the_lock(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->probe_ms[STEP_ETCD] = 800; /* it is nearly always at a probe now */
        int before = world->probes[STEP_ETCD];
        Wait wait = test_wait(PATIENCE_MS / 1000);
        while (world->probes[STEP_ETCD] < before + 2 && wait_sleep(&wait, 20, NULL) == 0) {}
        CHECK(world->probes[STEP_ETCD] >= before + 2);
        CHECK_INT(program_run(&other, WORDS("run", "--no-follow")), 0);
        CHECK_INT(stop(), 0);
}

static void test_reload(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        int before = world->probes[STEP_CONFIG];
        (void) kill(program.pid, SIGHUP);
        CHECK(systemd_hears("RELOADING=1"));
        CHECK(systemd_hears("READY=1"));
        CHECK_INT(world->probes[STEP_CONFIG], before + 1);
        CHECK_INT(stop(), 0);
}

/* It looks a ready machine over, and that has not ended yet: no result for whoever follows. */
static void test_followed_on_a_ready_machine(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->probe_ms[STEP_CONFIG] = 1000;
        int before = world->probes[STEP_CONFIG];
        (void) kill(program.pid, SIGHUP);
        Wait wait = test_wait(PATIENCE_MS / 1000);
        while (world->probes[STEP_CONFIG] == before && wait_sleep(&wait, 5, NULL) == 0) {}
        world->class = ERROR_DENIED;
        world->fails[STEP_KUBELET_CONFIG] = world->fails[STEP_KUBELET] = 1;
        CHECK_INT(program_run(&other, WORDS("run")), 77);
        CHECK_CONTAINS(other.output, "following it");
        CHECK_INT(stop(), 0);
}

/* It is about the launch: whatever is mended later, the stack has heard it. */
static void test_stack_hears_ready_once(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->so[STEP_FLANNELD] = 0;
        REQUIRE(systemd_hears("STATUS=degraded: "));
        REQUIRE(systemd_hears("STATUS=ready; 22 steps done"));
        int before = world->probes[STEP_ETCD];
        Wait wait = test_wait(PATIENCE_MS / 1000);
        while (world->probes[STEP_ETCD] == before && wait_sleep(&wait, 5, NULL) == 0) {}
        CHECK_INT(world->stack_ready, 1);
        world->class = ERROR_UNSAFE;
        world->fails[STEP_KUBELET] = 1;
        CHECK_INT(program_end(&program), 65);
        CHECK_INT(world->stack_failed, 0);
}

static void test_stack_is_told_again(void)
{
        world_reset();
        world->stack_fails = 2;
        start();
        REQUIRE(systemd_hears("READY=1")); /* which does not wait for it */
        Wait wait = test_wait(PATIENCE_MS / 1000);
        while (world->stack_ready < 3 && wait_sleep(&wait, 5, NULL) == 0) {}
        CHECK_INT(program_run(&other, WORDS("status")), 0);
        CHECK_INT(stop(), 0);
        CHECK_INT(world->stack_ready, 3);
        CHECK_CONTAINS(program.output, "the stack was told: ready");

        world_reset();
        world->stack_says = -EALREADY; /* a reboot, say: it is asked once, and that is that */
        start();
        REQUIRE(systemd_hears("READY=1"));
        while (world->probes[STEP_ETCD] < 3 && wait_sleep(&wait, 5, NULL) == 0) {}
        CHECK_INT(stop(), 0);
        CHECK_INT(world->stack_ready, 1);
}

static void test_stack_hears_of_failure(void)
{
        world_reset();
        world->class = ERROR_DENIED;
        world->fails[STEP_VOLUME_ATTACH] = 1;
        world->stack_fails = 1;
        start();
        CHECK_INT(program_end(&program), 77);
        CHECK_INT(world->stack_failed, 2); /* the second time it heard */
        CHECK_INT(world->stack_ready, 0);
        CHECK(systemd_hears("STOPPING=1"));
        CHECK_CONTAINS(program.output, "kube-bootstrap: volume-attach: the probe refused");

        world_reset(); /* systemd starts it again, and then it may be ready */
        world->class = ERROR_RETRY;
        world->apply_fails[STEP_VOLUME_FORMAT] = 1;
        start();
        while (!world->applies[STEP_VOLUME_FORMAT] && world_read(NULL)) {}
        CHECK_INT(stop(), 0);
        CHECK_INT(world->stack_failed, 0);
}

static void test_failure(void)
{
        world_reset();
        world->class = ERROR_DENIED;
        world->fails[STEP_VOLUME_ATTACH] = 1;
        start();
        CHECK_INT(program_end(&program), 77);
        CHECK(systemd_hears("STATUS=volume-attach: the probe refused"));
        CHECK(systemd_hears("ERRNO=16"));

        /* and one that is unsafe ends it at any time */
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->class = ERROR_UNSAFE;
        world->fails[STEP_KUBELET] = 1;
        CHECK_INT(program_end(&program), 65);
        CHECK_INT(program_run(&other, WORDS("status")), 1);
}

/* A hiccup of IAM, say, at a machine that works. */
static void test_failure_to_mend(void)
{
        static const ErrorClass classes[] = { ERROR_DENIED, ERROR_CONFIG, ERROR_FATAL };
        FOREACH_ARRAY(class, classes, ELEMENTS(classes)) {
                world_reset();
                start();
                REQUIRE(systemd_hears("READY=1"));
                world->class = *class;
                world->fails[STEP_KUBELET] = 1;
                REQUIRE(systemd_hears("STATUS=degraded: "));
                int before = world->probes[STEP_CONFIG];
                while (world->probes[STEP_CONFIG] < before + 3 && world_read(NULL)) {}
                CHECK_INT(program_run(&other, WORDS("status")), 3);
                world->fails[STEP_KUBELET] = 0;
                CHECK(systemd_hears("STATUS=ready; 22 steps done"));
                CHECK_INT(program_run(&other, WORDS("status")), 0);
                CHECK_INT(world->stack_failed, 0);
                CHECK_INT(world->clients, 1); /* what one run learned of AWS, the next one knows */
                CHECK_INT(stop(), 0);
        }
}

static void test_waits_for_a_run_by_hand(void)
{
        world_reset();
        world->probe_ms[STEP_ETCD] = 500;
        program_start(&other, false, WORDS("run"));
        REQUIRE(program_says(&other, "etcd: probing"));
        world->probe_ms[STEP_ETCD] = 0;
        start();
        CHECK(systemd_hears("READY=1"));
        CHECK_INT(program_end(&other), 0);
        CHECK_INT(world->applies[STEP_ETCD], 1);
        CHECK_INT(stop(), 0);
}

/* What a run by hand left, an interrupted one here, is not what the machine is said to be for long.
 */
static void test_takes_back_the_state(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->probe_ms[STEP_ELASTIC_IP] = 5000;
        program_start(&other, false, WORDS("run"));
        REQUIRE(program_says(&other, "elastic-ip: probing"));
        (void) kill(other.pid, SIGINT);
        CHECK_INT(program_end(&other), 2);
        CHECK_INT(program_run(&other, WORDS("status")), 2);
        world->probe_ms[STEP_ELASTIC_IP] = 0;
        CHECK(systemd_hears("STATUS=ready; 22 steps done"));
        CHECK_INT(program_run(&other, WORDS("status")), 0);
        _cleanup_free_ char *pid = string_format("\"pid\":%d,", program.pid);
        CHECK_INT(program_run(&other, WORDS("status", "--json")), 0);
        CHECK_CONTAINS(other.output, pid);
        CHECK_INT(stop(), 0);
}

static void test_watchdog(void)
{
        world_reset();
        CHECK(setenv("WATCHDOG_USEC", "400000", 1) == 0);
        start();
        REQUIRE(systemd_hears("READY=1"));
        CHECK(systemd_hears("WATCHDOG=1")); /* idle, and still */
        CHECK(systemd_hears("WATCHDOG=1"));
        CHECK_INT(stop(), 0);
        CHECK(unsetenv("WATCHDOG_USEC") == 0);
}

int main(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(notify_path, sizeof(notify_path), "%s/notify", test_folder());
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", notify_path);
        systemd_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (systemd_fd < 0 || bind(systemd_fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                perror("notify socket");
                return EXIT_FAILURE;
        }
        test_case("ready is told once it is; SIGTERM ends it cleanly", test_ready_and_stop);
        test_case("SIGTERM while converging", test_stopped_while_converging);
        test_case("what is no longer so is mended, and nothing else touched", test_mends);
        test_case("a run by hand never waits for its looks", test_looks_without_the_lock);
        test_case("SIGHUP runs the table again", test_reload);
        test_case("a run by hand follows a look at a ready machine to its end",
                  test_followed_on_a_ready_machine);
        test_case("the stack hears once that it is ready", test_stack_hears_ready_once);
        test_case("a stack that cannot be told is told later", test_stack_is_told_again);
        test_case("the stack hears of a failure that would last", test_stack_hears_of_failure);
        test_case("failures end it, with the class's status", test_failure);
        test_case("what cannot be mended leaves it degraded, and is tried again",
                  test_failure_to_mend);
        test_case("it waits for a run by hand", test_waits_for_a_run_by_hand);
        test_case("what a run by hand left is looked over", test_takes_back_the_state);
        test_case("the watchdog is fed while idle", test_watchdog);
        (void) close(systemd_fd);
        return test_done();
}
