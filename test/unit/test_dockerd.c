/* SPDX-License-Identifier: Apache-2.0 */
/* What dockerd reads and says; where there is a dockerd, it is asked whether that is so. */
#include "cluster/dockerd.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cluster/render.h"
#include "harness.h"
#include "host/process.h"

#define PROGRAM "/usr/sbin/dockerd"

static Error err;
static char root[DOCKERD_ROOT_MAX];

/* Each key, and the flag of ours that is in its way. */
static const struct {
        const char *key, *value, *flag;
} conflicts[] = {
        { "hosts", "[\"unix:///run/docker.sock\"]", "-H" },
        { "containerd", "\"/run/other.sock\"", "--containerd" },
        { "bridge", "\"none\"", "--bridge" },
        { "bip", "\"10.1.0.1/24\"", "--bridge" },
        { "mtu", "1400", "--mtu" },
        { "ip-masq", "true", "--ip-masq" },
        { "userland-proxy", "true", "--userland-proxy" },
        { "exec-opts", "[\"native.cgroupdriver=systemd\"]", "--exec-opt" },
};

static void test_conflicts(void)
{
        FOREACH_ARRAY(c, conflicts, ELEMENTS(conflicts)) {
                _cleanup_free_ char *text =
                        string_format("{ \"debug\": true,\n\"%s\": %s }", c->key, c->value);
                _cleanup_free_ char *says = string_format(
                        "sets \"%s\", but dockerd is started with %s and refuses", c->key, c->flag);
                REQUIRE(text && says);
                CHECK_INT(dockerd_check_config(DOCKERD, text, root, &err), -EINVAL);
                CHECK_INT(err.class, ERROR_CONFIG);
                CHECK_CONTAINS(err.message, says);
        }
        CHECK(dockerd_check_config(DOCKERD, "{\"mtu\":1,\"bip\":\"\"}", root, &err) < 0);
        CHECK_CONTAINS(err.message, "sets \"bip\", \"mtu\", but");
        CHECK(dockerd_check_config(DOCKERD_BOOTSTRAP, "{\"containerd-namespace\":\"x\"}", root,
                                   &err) < 0);
        CHECK_OK(dockerd_check_config(DOCKERD_BOOTSTRAP, "{\"bridge\":\"none\"}", root, &err), err);
}

static void test_no_json(void)
{
        CHECK(dockerd_check_config(DOCKERD, "{\n  \"debug\": true,\n}", root, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "is no JSON: line 3, column 1: ");
        CHECK(dockerd_check_config(DOCKERD, "[]", root, &err) < 0);
        CHECK(dockerd_check_config(DOCKERD, "\xef\xbb\xbf{}", root, &err) < 0);
        CHECK_OK(dockerd_check_config(DOCKERD, " \n", root, &err), err);
        CHECK_OK(dockerd_check_config(DOCKERD, "{}", root, &err), err);
}

static void test_root(void)
{
        (void) snprintf(root, sizeof(root), "as it was");
        CHECK_OK(dockerd_check_config(DOCKERD, "{\"data-root\":1}", root, &err), err);
        CHECK_STR(root, "as it was");
        CHECK_OK(dockerd_check_config(DOCKERD, "{\"data-root\":\"/data\"}", root, &err), err);
        CHECK_STR(root, "/data");
}

/* The flags in a text: words that begin with a hyphen, up to "=". */
static void check_flags(Dockerd dockerd, char *text)
{
        unsigned n = 0;
        for (char *save = NULL, *word = strtok_r(text, " \n\\", &save); word;
             word = strtok_r(NULL, " \n\\", &save)) {
                word = strstr(word, "OPTIONS=-") ? strchr(word, '=') + 1 : word;
                if (word[0] != '-' || string_starts_with(word, "--config-file=")) {
                        continue;
                }
                word[strcspn(word, "=")] = '\0';
                n++;
                if (!dockerd_has_flag(dockerd, word)) {
                        test_fail(__FILE__, __LINE__, "%s is not in the table", word);
                }
        }
        CHECK(n > 0);
}

/* No flag is forgotten: those of the units and of the rendered file are what the table has. */
static void test_flags(void)
{
        static const struct {
                Dockerd dockerd;
                const char *path;
        } units[] = {
                { DOCKERD, "units/docker.service.d/kube-bootstrap.conf" },
                { DOCKERD_BOOTSTRAP, "units/docker-bootstrap.service" },
        };
        FOREACH_ARRAY(unit, units, ELEMENTS(units)) {
                _cleanup_buffer_ Buffer text = {};
                REQUIRE(file_read(unit->path, 65536, &text, &err) >= 0);
                char *at = strstr(text.data, "ExecStart=/"), *end = at;
                REQUIRE(at);
                for (end = strchr(at, '\n'); end && end[-1] == '\\'; end = strchr(end + 1, '\n')) {}
                REQUIRE(end);
                *end = '\0';
                check_flags(unit->dockerd, at);
        }
        _cleanup_buffer_ Buffer text = {};
        CHECK_OK(render_docker_environment("cbr0", "10.1.0.1/24", 1450, "cgroupfs", &text, &err),
                 err);
        REQUIRE(text.data);
        check_flags(DOCKERD, strstr(text.data, "DOCKER_OVERLAY_OPTIONS="));
}

static void test_blame(void)
{
        /* dockerd 20.10.24 over a file of zeros, and over one that was cut */
        CHECK(dockerd_blames_networks("failed to start daemon: Error initializing network "
                                      "controller: error obtaining controller instance: failed to "
                                      "get bridge network configurations from store: error while "
                                      "populating kmap: invalid database"));
        CHECK(dockerd_blames_networks("github.com/docker/libkv/store/boltdb.(*BoltDB).getDBhandle("
                                      "0xc0003a7540)"));
        /* docker 28 */
        CHECK(dockerd_blames_networks("github.com/docker/docker/libnetwork/internal/kvstore/boltdb."
                                      "(*BoltDB).List(0xc0003a7540)"));
        const char *others[] = {
                "failed to start daemon: error while opening volume store metadata database: "
                "invalid database",
                "failed to start daemon: Error initializing network controller: error obtaining "
                "controller instance: failed to create NAT chain DOCKER: iptables failed",
                "go.etcd.io/bbolt.(*DB).loadFreelist(0xc00070c6c0?)",
        };
        FOREACH_ARRAY(line, others, ELEMENTS(others)) {
                CHECK(!dockerd_blames_networks(*line));
        }
}

/* The real one, with our flags: it ends before it has touched anything. */
static void test_real(void)
{
        _cleanup_free_ char *file = string_format("%s/daemon.json", test_folder());
        _cleanup_free_ char *config = string_format("--config-file=%s", file);
        _cleanup_free_ char *data = string_format("--data-root=%s/root", test_folder());
        _cleanup_free_ char *exec = string_format("--exec-root=%s/exec", test_folder());
        _cleanup_free_ char *pid = string_format("--pidfile=%s/pid", test_folder());
        REQUIRE(file && config && data && exec && pid);
        const char *const argv[] = { PROGRAM,
                                     config,
                                     data,
                                     exec,
                                     pid,
                                     "-H",
                                     "unix:///nonexistent/docker.sock",
                                     "--containerd=/nonexistent/containerd.sock",
                                     "--bridge=cbr0",
                                     "--mtu=1450",
                                     "--ip-masq=false",
                                     "--userland-proxy=false",
                                     "--exec-opt=native.cgroupdriver=cgroupfs",
                                     NULL };
        FOREACH_ARRAY(c, conflicts, ELEMENTS(conflicts)) {
                if (streq(c->key, "bip")) {
                        continue; /* refused later, when dockerd has begun */
                }
                _cleanup_free_ char *text = string_format("{\"%s\": %s}", c->key, c->value);
                _cleanup_process_result_ ProcessResult result = {};
                Wait wait = test_patience();
                CHECK_OK(file_write(file, text, strlen(text), 0644, &err), err);
                CHECK(process_run_checked(&(ProcessOptions) { .argv = argv, .output_max = 65536 },
                                          &wait, &result, &err) < 0);
                _cleanup_free_ char *says = string_format(
                        "specified both as a flag and in the configuration file: %s:", c->key);
                CHECK_CONTAINS(err.message, says);
        }
}

int main(void)
{
        log_set_max_priority(-1);
        static const TestCase real[] = { { "dockerd refuses each of these keys", test_real } };
        test_case("keys that are flags as well", test_conflicts);
        test_case("what is no JSON", test_no_json);
        test_case("where its data lies", test_root);
        test_case("every flag of ours is known", test_flags);
        test_case("a damaged database of networks is told from others", test_blame);
        test_cases_if(access(PROGRAM, X_OK) == 0, "there is no dockerd", real, ELEMENTS(real));
        return test_done();
}
