/* SPDX-License-Identifier: Apache-2.0 */
/* Which line of a log says why. The lines are of the real programs: dockerd 20.10.24 with a key
 * that is also a flag and over damaged databases, etcd 3.4.23 on data of 3.5 (capnslog) and 3.5.16
 * (JSON), kubelet 1.20.2. */
#include "host/last_words.h"

#include "harness.h"

/* Oldest first, as a log is read; "-" begins another run. */
static const char *choose(const char *const *lines, size_t n)
{
        static LastWords words;
        char run[8] = "last";
        words = (LastWords) {};
        for (size_t i = n; i-- > 0;) {
                if (lines[i][0] == '-' && lines[i][1] == '\0') {
                        (void) snprintf(run, sizeof(run), "%zu", i);
                } else if (!last_words_add(&words, run, lines[i])) {
                        break;
                }
        }
        return words.text;
}

#define CHOOSE(...)                                   \
        choose((const char *const[]) { __VA_ARGS__ }, \
               sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(char *))

static void test_docker(void)
{
        CHECK_STR(CHOOSE("unable to configure the Docker daemon with file /etc/docker/daemon.json: "
                         "the following directives are specified both as a flag and in the "
                         "configuration file: mtu: (from flag: 1450, from file: 1400)"),
                  "unable to configure the Docker daemon with file /etc/docker/daemon.json: the "
                  "following directives are specified both as a flag and in the configuration "
                  "file: mtu: (from flag: 1450, from file: 1400)");
        CHECK_STR(CHOOSE("time=\"2026-11-29T14:09:09.556441720Z\" level=warning msg=\"failed to "
                         "load plugin\" error=\"devmapper not configured\"",
                         "time=\"2026-11-29T14:09:09.9Z\" level=error msg=\"earlier\"",
                         "failed to start daemon: Error initializing network controller: error "
                         "obtaining controller instance: failed to get bridge network "
                         "configurations from store: error while populating kmap: invalid "
                         "database"),
                  "failed to start daemon: Error initializing network controller: error obtaining "
                  "controller instance: failed to get bridge network configurations from store: "
                  "error while populating kmap: invalid database");
        CHECK_STR(CHOOSE("time=\"2026-11-29T14:09:09Z\" level=warning msg=\"Your kernel\"",
                         "unexpected fault address 0x7f20e4576008", "fatal error: fault",
                         "[signal SIGBUS: bus error code=0x2 addr=0x7f20e4576008]", "",
                         "goroutine 1 [running]:", "runtime.throw({0x559a0eefe9c6?, 0x30?})",
                         "\t/usr/lib/go-1.19/src/runtime/panic.go:1047 +0x5f"),
                  "fatal error: fault");
        CHECK_STR(CHOOSE("time=\"2026-11-29T14:09:09Z\" level=error msg=\"cannot \\\"do\\\" it\" "
                         "error=\"no space\"",
                         "time=\"2026-11-29T14:09:10Z\" level=info msg=\"Starting up\""),
                  "cannot \"do\" it: no space");
}

static void test_etcd(void)
{
        CHECK_STR(CHOOSE("2026-11-29 14:08:21.878871 I | etcdmain: setting maximum number of CPUs",
                         "2026-11-29 14:08:21.879290 C | etcdserver/membership: cluster cannot be "
                         "downgraded (current version: 3.4.23 is lower than determined cluster "
                         "version: 3.5)."),
                  "etcdserver/membership: cluster cannot be downgraded (current version: 3.4.23 is "
                  "lower than determined cluster version: 3.5).");
        CHECK_STR(CHOOSE("{\"level\":\"info\",\"ts\":\"x\",\"caller\":\"a.go:1\",\"msg\":\"go\"}",
                         "{\"level\":\"fatal\",\"ts\":\"x\",\"caller\":\"etcdmain/etcd.go:204\","
                         "\"msg\":\"discovery failed\",\"error\":\"cannot access data directory\"}",
                         "{\"level\":\"info\",\"msg\":\"closed\"}"),
                  "discovery failed: cannot access data directory");
        CHECK_STR(CHOOSE("Error response from daemon: No such container: etcd",
                         "Error: failed to start containers: etcd"),
                  "Error: failed to start containers: etcd");
}

static void test_kubelet(void)
{
        CHECK_STR(CHOOSE("I1129 14:06:19.270293    1234 server.go:416] Version: v1.20.2",
                         "E1129 14:06:19.270294    1234 kubelet.go:2243] node not found",
                         "F1129 14:06:19.270295    1234 server.go:269] failed to run Kubelet: "
                         "misconfiguration: kubelet cgroup driver: \"systemd\" is different",
                         "goroutine 1 [running]:", "k8s.io/klog.stacks(0xc0)",
                         "\t/go/src/klog.go:1026 +0xb9"),
                  "failed to run Kubelet: misconfiguration: kubelet cgroup driver: \"systemd\" is "
                  "different");
        CHECK_STR(CHOOSE("E1129 14:06:19.270294    1234 kubelet.go:2243] first",
                         "E1129 14:06:19.270294    1234 kubelet.go:2243] second",
                         "W1129 14:06:19.270294    1234 kubelet.go:2243] a warning"),
                  "second");
}

/* systemd 252 about a unit that failed, and about one whose file of variables is not there. */
static void test_systemd(void)
{
        CHECK_STR(CHOOSE("error: no such door", "bye",
                         "Failed to start kube-bootstrap-test-bad.service."),
                  "error: no such door");
        CHECK_STR(CHOOSE("docker.service: Failed to load environment files: No such file or "
                         "directory",
                         "Failed to start Docker Application Container Engine."),
                  "docker.service: Failed to load environment files: No such file or directory");
        CHECK_STR(CHOOSE("Failed to start a.service."), "");
}

static void test_runs(void)
{
        const char *begun = "I1129 14:06:19.270293    1234 server.go:416] Version: v1.20.2";
        CHECK_STR(CHOOSE("error: before", "-", begun), "error: before"); /* it was just restarted */
        CHECK_STR(CHOOSE("error: before", "-", "error: last"), "error: last");
        CHECK_STR(CHOOSE("panic: before", "-", "error: last"), "error: last");
        CHECK_STR(CHOOSE("error: long ago", "-", "fine", "-", begun), "Version: v1.20.2");
        CHECK_STR(CHOOSE("one", "two", ""), "two"); /* no word of an error: the last one */
        CHECK_STR(CHOOSE(""), "");
        CHECK_STR(choose(NULL, 0), "");
}

static void test_forms(void)
{
        char line[1000];
        memset(line, 'x', sizeof(line) - 1);
        line[sizeof(line) - 1] = '\0';
        CHECK_INT(strlen(CHOOSE(line)), LAST_WORDS_MAX - 1);
        CHECK_STR(CHOOSE("error: \033[31mred\033[0m"), "error:  [31mred [0m");
        CHECK_STR(CHOOSE("{\"level\":\"fatal\""), "{\"level\":\"fatal\"");
        CHECK_STR(CHOOSE("{\"level\":\"fatal\",\"msg\":1}"), "{\"level\":\"fatal\",\"msg\":1}");
        CHECK_STR(CHOOSE(" level=error msg=\"cut"), "cut");
        CHECK_STR(CHOOSE("E112"), "E112");
        CHECK_STR(CHOOSE("E1129 no bracket"), "E1129 no bracket");
}

static void test_secrets(void)
{
        CHECK_STR(CHOOSE("error: token abcdef.0123456789abcdef refused"),
                  "error: token *********************** refused");
        CHECK_STR(
                CHOOSE("error: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.eyJpc3MiOiJrdWJl1234.sig9"),
                "error: Bearer **********************************************************");
        const char *kept[] = { "error: open /var/lib/docker/network/files/local-kv.db: no space",
                               "error: ip-172-20-128-9.eu-central-1.compute.internal not found",
                               "error: lookup kubernetes.default.svc.cluster.local failed" };
        FOREACH_ARRAY(line, kept, ELEMENTS(kept)) {
                CHECK_STR(choose(line, 1), *line);
        }
}

int main(void)
{
        test_case("dockerd", test_docker);
        test_case("etcd, and docker's client", test_etcd);
        test_case("kubelet", test_kubelet);
        test_case("systemd", test_systemd);
        test_case("the last run, or the one before", test_runs);
        test_case("odd forms", test_forms);
        test_case("what looks like a token is masked", test_secrets);
        return test_done();
}
