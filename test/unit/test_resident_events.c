/* SPDX-License-Identifier: Apache-2.0 */
/* What wakes an idle daemon. Nothing is looked at by itself for a quarter of an hour here, so what
 * it notices, it was told. */
#define REPROBE_S 900

#include <fcntl.h>
#include <signal.h>

#include "resident_table.h"
#include "resident_world.h"

static Program third;

/* A run by hand may have changed anything, an interrupted one as well; and what it did not come to
 * is as it was. */
static void test_end_of_a_run_by_hand(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->probe_ms[BOOT_DOCKER_BOOTSTRAP] = 60000;
        program_start(&other, false, WORDS("run"));
        REQUIRE(program_says(&other, "docker-bootstrap: probing"));
        WORLD_UNTIL(program_run(&third, WORDS("status")) != 0 ||
                    strstr(third.output, "docker-bootstrap    probing"));
        CHECK_CONTAINS(third.output, "docker-bootstrap    probing");
        CHECK_CONTAINS(third.output, "etcd                done"); /* which needs it */
        int before = world->probes[BOOT_CONFIG];
        world->probe_ms[BOOT_DOCKER_BOOTSTRAP] = 0;
        (void) kill(other.pid, SIGINT);
        CHECK_INT(program_end(&other), 2);
        CHECK_INT(program_run(&other, WORDS("status")), 0);
        WORLD_UNTIL(world->probes[BOOT_CONFIG] != before);
        CHECK_INT(world->probes[BOOT_CONFIG], before + 1);
        _cleanup_free_ char *pid = string_format("\"pid\":%d,", program.pid);
        WORLD_UNTIL(program_run(&other, WORDS("status", "--json")) != 0 ||
                    strstr(other.output, pid)); /* the daemon's first word after it */
        CHECK_CONTAINS(other.output, pid);
        CHECK_INT(stop(), 0);
}

/* One that was killed lets go of the lock, too. */
static void test_death_of_a_run_by_hand(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->probe_ms[BOOT_ELASTIC_IP] = 60000;
        program_start(&other, false, WORDS("run"));
        REQUIRE(program_says(&other, "elastic-ip: probing"));
        int before = world->probes[BOOT_CONFIG];
        world->probe_ms[BOOT_ELASTIC_IP] = 0;
        (void) kill(other.pid, SIGKILL);
        CHECK_INT(program_end(&other), -1);
        WORLD_UNTIL(world->probes[BOOT_CONFIG] != before);
        CHECK_INT(world->probes[BOOT_CONFIG], before + 1);
        CHECK_INT(stop(), 0);
}

/* It finds what is not so, and fails to mend it: that is the machine's state. */
static void test_failure_of_a_run_by_hand(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        world->class = ERROR_FATAL;
        world->fails[BOOT_KUBELET] = 1;
        CHECK_INT(program_run(&other, WORDS("run")), 1);
        CHECK(systemd_hears("STATUS=degraded"));
        /* the table is run again and again, and kubelet waits for its turn in between */
        WORLD_UNTIL(program_run(&other, WORDS("status")) == 3 &&
                    strstr(other.output, "kubelet             failed"));
        CHECK_CONTAINS(other.output, "kubelet             failed");
        CHECK_CONTAINS(other.output, "nodes               done"); /* as it was seen before */
        CHECK_INT(stop(), 0);
}

static void happens_to(uint64_t steps)
{
        CHECK(write(happens_fds[1], &steps, sizeof(steps)) == sizeof(steps));
}

/* systemd tells of a unit, the kernel of a file: the step is looked at, and nothing else. */
static void test_what_happens_to_a_step(void)
{
        world_reset();
        start();
        REQUIRE(systemd_hears("READY=1"));
        int config = world->probes[BOOT_CONFIG], etcd = world->probes[BOOT_ETCD];
        int kubelet = world->probes[BOOT_KUBELET];
        happens_to(STEP_MASK(BOOT_ETCD));
        WORLD_UNTIL(world->probes[BOOT_ETCD] != etcd);
        CHECK_INT(world->probes[BOOT_ETCD], etcd + 1);
        CHECK_INT(world->probes[BOOT_KUBELET], kubelet);

        world->so[BOOT_ETCD] = 0; /* and is mended */
        happens_to(STEP_MASK(BOOT_ETCD) | STEP_MASK(BOOT_SECRETS));
        CHECK(systemd_hears("STATUS=degraded: "));
        CHECK(systemd_hears("STATUS=ready; 24 steps done"));
        CHECK_INT(world->applies[BOOT_ETCD], 2);
        CHECK_INT(world->probes[BOOT_CONFIG], config + 1);
        CHECK_INT(stop(), 0);
}

int main(void)
{
        if (pipe2(happens_fds, O_NONBLOCK | O_CLOEXEC) < 0) {
                perror("pipe");
                return EXIT_FAILURE;
        }
        if (!be_systemd()) {
                return EXIT_FAILURE;
        }
        test_case("the end of a run by hand", test_end_of_a_run_by_hand);
        test_case("the death of a run by hand", test_death_of_a_run_by_hand);
        test_case("what happens to a step", test_what_happens_to_a_step);
        test_case("what a run by hand found is kept", test_failure_of_a_run_by_hand);
        (void) close(systemd_fd);
        return test_done();
}
