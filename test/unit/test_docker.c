/* SPDX-License-Identifier: Apache-2.0 */
#include "host/docker.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "harness.h"
#include "host/http.h"
#include "local_daemon.h"
#include "loopback_server.h"

/* Against a dockerd of the test's own, with a containerd, a data root and an image of its own, all
 * below one folder. */

#define DOCKERD    "/usr/sbin/dockerd"
#define CONTAINERD "/usr/bin/containerd"
#define IMAGE      "kube-bootstrap-test:1"
#define NAME       "kube-bootstrap-test"

static char folder[] = "/var/tmp/kube-bootstrap-docker-XXXXXX";
static char docker_socket[128], data_path[128], local_socket[128];

/* The image is one static program, which tells what it is allowed and then waits for its end. */
static const char program[] =
        "#include <fcntl.h>\n#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
        "#include <string.h>\n#include <unistd.h>\n"
        "int main(int argc, char **argv) {\n"
        "  char line[256]; sigset_t set; int s;\n"
        "  FILE *in = fopen(\"/proc/self/status\", \"r\"), *out = fopen(\"/data/told\", \"w\");\n"
        "  while (fgets(line, sizeof(line), in))\n"
        "    if (!strncmp(line, \"CapEff\", 6) || !strncmp(line, \"NoNewPrivs\", 10))\n"
        "      fputs(line, out);\n"
        "  fprintf(out, \"root %s\\n\", open(\"/x\", O_CREAT | O_WRONLY, 0600) < 0 ? \"ro\" : "
        "\"rw\");\n"
        "  fprintf(out, \"env %s\\n\", getenv(\"A\"));\n"
        "  fclose(out); sigemptyset(&set); sigaddset(&set, SIGTERM);\n"
        "  sigprocmask(SIG_BLOCK, &set, NULL);\n"
        "  printf(\"said %s\\n\", argv[argc - 1]); fflush(stdout);\n"
        "  sigwait(&set, &s); return 0; }\n";

/* A runc that notes the score that a container is to have out of memory, and gives it none: not
 * every machine may lower one. */
static const char noting_runc[] =
        "#!/bin/sh\nprevious=\nfor argument; do\n"
        "  if [ \"$previous\" = --bundle ]; then\n"
        "    grep -o '\"oomScoreAdj\":[-0-9]*' \"$argument/config.json\" >\"${0%/*}/score\"\n"
        "    sed -i 's/\"oomScoreAdj\":[-0-9]*/\"oomScoreAdj\":0/' \"$argument/config.json\"\n"
        "  fi\n  previous=$argument\ndone\nexec /usr/sbin/runc \"$@\"\n";

static int make_image(const char *name, const char *flags)
{
        return shell("cd %s && mkdir -p root/data && %s -static -o root/program program.c && "
                     "tar -C root -c . | /usr/bin/docker -H unix://%s import - %s",
                     folder, flags, docker_socket, name);
}

static Container container(void)
{
        static const char *const argv[] = { "/program", "hello", NULL };
        static const char *const environment[] = { "A=b", NULL };
        static const char *const capabilities[] = { "NET_ADMIN", NULL };
        static const char *const devices[] = { "/dev/null", NULL };
        static ContainerMount mount = { .target = "/data" };
        mount.source = data_path;
        return (Container) { .name = NAME,
                             .image = IMAGE,
                             .argv = argv,
                             .environment = environment,
                             .mounts = &mount,
                             .n_mounts = 1,
                             .capabilities = capabilities,
                             .devices = devices,
                             .read_only_root = true };
}

static DockerContainerState state_of(const Container *c)
{
        Error err = {};
        Wait wait = test_patience();
        DockerContainerState state = _DOCKER_CONTAINER_STATE_INVALID;
        CHECK_OK(docker_container_look(docker_socket, c, &wait, &state, &err), err);
        return state;
}

static void test_no_docker(void)
{
        Error err = {};
        Wait wait = test_patience();
        char path[128];
        DockerInfo info;
        (void) snprintf(path, sizeof(path), "%s/stale", test_folder());
        CHECK_INT(docker_ping(path, &wait, &err), 0); /* no socket */
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0);
        (void) close(fd);
        CHECK_INT(docker_ping(path, &wait, &err), 0); /* nobody behind it */
        CHECK_INT(docker_info(path, &wait, &info, &err), -ECONNREFUSED);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, path);
}

static int look_with_image(const char *name, Error *err)
{
        Wait wait = test_patience();
        Container c = container();
        DockerContainerState state;
        c.image = name;
        return docker_container_look(local_socket, &c, &wait, &state, err);
}

static const Answer odd_answers[] = {
        { "/v1.40/_ping ", "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n" },
        { "/v1.40/info ", "HTTP/1.1 500 Oops\r\nContent-Length: 18\r\n\r\n{\"message\":\"boom\"}" },
        { "/v1.40/images/odd/json ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]" },
        { "/v1.40/images/refused/json ", "HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\n{}" },
        { "/v1.40/images/absent/json ", "HTTP/1.1 404 None\r\nContent-Length: 2\r\n\r\n{}" },
        {},
};

static void test_bad_replies(void)
{
        Error err = {};
        Wait wait = test_patience();
        DockerInfo info;
        CHECK_INT(docker_ping(local_socket, &wait, &err), -EIO);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_INT(err.http_status, 503);
        CHECK_CONTAINS(err.message, "status 503: no message");
        CHECK_INT(docker_info(local_socket, &wait, &info, &err), -EIO);
        CHECK_CONTAINS(err.message, "docker GET /info: status 500: boom");
        CHECK_INT(look_with_image("odd", &err), -EBADMSG);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_INT(look_with_image("refused", &err), -EIO);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_INT(look_with_image("absent", &err), -ENOENT);
        CHECK_INT(look_with_image("a?b", &err), -EINVAL);
        CHECK_INT(look_with_image("a/../b", &err), -EINVAL);
        CHECK_INT(err.class, ERROR_CONFIG);
}

static void test_info(void)
{
        Error err = {};
        Wait wait = test_patience();
        DockerInfo info = {};
        CHECK_OK(docker_info(docker_socket, &wait, &info, &err), err);
        CHECK(info.server_version[0]);
        CHECK(info.storage_driver[0]);
        CHECK(streq(info.cgroup_driver, "cgroupfs") || streq(info.cgroup_driver, "systemd"));
        CHECK_INT(info.containers_running, 0);
}

static void test_image(void)
{
        Error err = {};
        Wait wait = test_patience();
        Container c = container();
        DockerContainerState state;
        char path[128];
        CHECK_INT(docker_container_look(docker_socket, &c, &wait, &state, &err), -ENOENT);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, IMAGE);
        CHECK_CONTAINS(err.message, docker_socket);
        CHECK_INT(docker_container_create(docker_socket, &c, &wait, &err), -ENOENT);
        CHECK_INT(err.class, ERROR_CONFIG);
        (void) snprintf(path, sizeof(path), "%s/program.c", folder);
        CHECK_OK(file_write(path, program, strlen(program), 0644, &err), err);
        REQUIRE(make_image(IMAGE, "gcc -O1") == 0);
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_ABSENT);
        c.image = "docker.io/library/" IMAGE;
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_ABSENT);
}

static void test_create(void)
{
        Error err = {};
        Wait wait = test_patience();
        Container c = container();
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_ABSENT);
        CHECK_OK(docker_container_create(docker_socket, &c, &wait, &err), err);
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_STOPPED);
        CHECK_INT(docker_container_create(docker_socket, &c, &wait, &err), 0); /* it was so */
        ContainerMount missing = { .source = "/nonexistent/data", .target = "/data" };
        Container other = c;
        other.name = NAME "-other";
        other.mounts = &missing;
        CHECK(docker_container_create(docker_socket, &other, &wait, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_INT(err.http_status, 400);
        CHECK_CONTAINS(err.message, "/nonexistent/data");
}

/* As the container's unit does it. */
static void test_run(void)
{
        Error err = {};
        Wait wait = test_patience();
        Container c = container();
        DockerInfo info = {};
        Daemon start = {};
        _cleanup_buffer_ Buffer told = {}, said = {}, score = {};
        char path[256], said_path[256];
        struct timespec started = {};
        time_t before = time(NULL);
        CHECK_INT(docker_container_started(docker_socket, "no-such", &wait, &started, &err), 0);
        CHECK_INT(docker_container_started(docker_socket, NAME, &wait, &started, &err), 0);
        (void) snprintf(path, sizeof(path), "%s/told", data_path);
        (void) snprintf(said_path, sizeof(said_path), "%s/said", folder);
        daemon_start(&start, "exec /usr/bin/docker -H unix://%s start -a " NAME " > %s",
                     docker_socket, said_path);
        while (isempty(said.data) && wait_sleep(&wait, 100, &err) == 0) {
                (void) file_read(said_path, 4096, &said, ERROR_IGNORED); /* not yet there */
        }
        CHECK_STR(said.data, "said hello\n");
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_RUNNING);
        CHECK_INT(docker_container_started(docker_socket, NAME, &wait, &started, &err), 1);
        CHECK(started.tv_sec >= before && started.tv_sec <= time(NULL) && started.tv_nsec > 0);
        CHECK_INT(docker_container_create(docker_socket, &c, &wait, &err), 0);
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_RUNNING);
        CHECK_OK(docker_info(docker_socket, &wait, &info, &err), err);
        CHECK_INT(info.containers_running, 1);
        CHECK_OK(file_read(path, 4096, &told, &err), err);
        CHECK_STR(told.data, "CapEff:\t0000000000001000\nNoNewPrivs:\t1\nroot ro\nenv b\n");
        (void) snprintf(path, sizeof(path), "%s/score", folder);
        CHECK_OK(file_read(path, 4096, &score, &err), err);
        CHECK_STR(score.data, "\"oomScoreAdj\":-997\n");
        daemon_stop(&start);
}

/* Its process ends while containerd, which would tell docker of it, is away. */
static void test_lost(void)
{
        Wait wait = test_patience();
        Container c = container();
        REQUIRE(shell("/usr/bin/docker -H unix://%s start " NAME, docker_socket) == 0);
        REQUIRE(shell("kill -STOP $(cat %s/c.pid)", folder) == 0);
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_RUNNING);
        CHECK_INT(shell("kill -9 $(/usr/bin/docker -H unix://%s inspect -f '{{.State.Pid}}' " NAME
                        ")",
                        docker_socket),
                  0);
        while (state_of(&c) == DOCKER_CONTAINER_RUNNING && /* until its parent has reaped it */
               wait_sleep(&wait, 20, ERROR_IGNORED) == 0) {}
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_LOST);
        REQUIRE(shell("kill -CONT $(cat %s/c.pid)", folder) == 0);
        while (state_of(&c) == DOCKER_CONTAINER_LOST && wait_sleep(&wait, 20, ERROR_IGNORED) == 0) {
        }
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_STOPPED);
}

static void test_replace(void)
{
        Error err = {};
        Wait wait = test_patience();
        Container c = container();
        const char *const argv[] = { "/program", "again", NULL };
        REQUIRE(shell("/usr/bin/docker -H unix://%s start " NAME, docker_socket) == 0);
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_RUNNING);
        c.argv = argv;
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_DIFFERENT);
        CHECK_INT(docker_container_create(docker_socket, &c, &wait, &err), 1); /* while it runs */
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_STOPPED);
        REQUIRE(make_image(IMAGE, "gcc -O2 -DNEW") == 0); /* another image under the old name */
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_DIFFERENT);
        CHECK_INT(docker_container_create(docker_socket, &c, &wait, &err), 1);
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_STOPPED);
        ContainerMount mount = *c.mounts;
        mount.read_only = true;
        c.mounts = &mount;
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_DIFFERENT);
        REQUIRE(shell("/usr/bin/docker -H unix://%s rm -f " NAME, docker_socket) == 0);
        CHECK_INT(state_of(&c), DOCKER_CONTAINER_ABSENT);
}

static Daemon containerd, dockerd;

static void test_start(void)
{
        Error err = {};
        Wait wait = test_patience();
        (void) snprintf(docker_socket, sizeof(docker_socket), "%s/docker.sock", folder);
        (void) snprintf(data_path, sizeof(data_path), "%s/data", folder);
        char runc[200];
        (void) snprintf(runc, sizeof(runc), "%s/runc", folder);
        CHECK_OK(file_write(runc, noting_runc, strlen(noting_runc), 0755, &err), err);
        REQUIRE(shell("cd %s && mkdir data && echo \"{\\\"default-runtime\\\":\\\"noting\\\","
                      "\\\"runtimes\\\":{\\\"noting\\\":{\\\"path\\\":\\\"$PWD/runc\\\"}}}\" "
                      "> docker.json",
                      folder) == 0);
        daemon_start(&containerd,
                     "cd %s && echo $$ > c.pid && exec " CONTAINERD
                     " --config /dev/null --root $PWD/c-root "
                     "--state $PWD/c-state --address $PWD/c.sock > c.log 2>&1",
                     folder);
        daemon_start(&dockerd,
                     "cd %s && while [ ! -S c.sock ]; do sleep 0.1; done; exec " DOCKERD
                     " --config-file docker.json --containerd $PWD/c.sock --data-root $PWD/d-root "
                     "--exec-root $PWD/d-exec --pidfile $PWD/d.pid -H unix://%s --bridge none "
                     "--iptables=false --ip6tables=false --ip-masq=false > d.log 2>&1",
                     folder, docker_socket);
        while (docker_ping(docker_socket, &wait, &err) == 0 && wait_sleep(&wait, 100, &err) == 0) {
                ;
        }
        CHECK_INT(docker_ping(docker_socket, &wait, &err), 1);
}

/* Docker's files and mounts are in a mount namespace of the test's own, and go with it. */
static bool make_folder(void)
{
        return mkdtemp(folder) && unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("docker", folder, "tmpfs", MS_NOSUID | MS_NODEV, NULL) == 0;
}

int main(void)
{
        static const TestCase cases[] = {
                { "docker is waited for", test_start },
                { "what docker tells of itself", test_info },
                { "an image that is missing, and there", test_image },
                { "a container is created once", test_create },
                { "it runs confined, with its output attached", test_run },
                { "its process is gone, and docker does not know", test_lost },
                { "it is replaced when its configuration or image changes", test_replace },
        };
        bool real = geteuid() == 0 && access(DOCKERD, X_OK) == 0 && access(CONTAINERD, X_OK) == 0 &&
                    access("/usr/bin/docker", X_OK) == 0;
        Error err = {};
        static Server local = { .answers = odd_answers };
        if (real && !make_folder()) {
                perror(folder);
                return EXIT_FAILURE;
        }
        if (http_init(&err) < 0) {
                return EXIT_FAILURE;
        }
        (void) snprintf(local_socket, sizeof(local_socket), "%s/socket", test_folder());
        loopback_start_unix(&local, local_socket);
        test_case("nobody there", test_no_docker);
        test_case("errors and odd replies", test_bad_replies);
        test_chain(real ? NULL : "needs root, dockerd, containerd and docker", cases,
                   ELEMENTS(cases));
        if (real) {
                daemon_stop(&dockerd);
                daemon_stop(&containerd);
                (void) umount2(folder, MNT_DETACH);
                (void) rmdir(folder);
        }
        http_done();
        loopback_stop(&local);
        connections_join();
        return test_done();
}
