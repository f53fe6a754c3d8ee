/* SPDX-License-Identifier: Apache-2.0 */
/* The steps containerd and cni, beside a containerd and a systemd that say what a case wants; the
 * bridge and the files are real, on a machine of the test's own. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/file.h"
#include "ec2_world.h"
#include "harness.h"
#include "host/cri.h"
#include "host/netif.h"
#include "host/process.h"
#include "steps/services/bridge.h"
#include "steps/services/cni.h"
#include "steps/services/service.h"

#define TEXT(s)  ((char[]) { s }) /* fields own their strings, so they are not const */
#define PAUSE    "registry.k8s.io/pause:3.10.2"
#define CNI_FILE CNI_FOLDER "/10-overlay.conflist"

/* What containerd says; each case changes a part of it. */
static CriStatus said;
static int listens; /* -errno: it does not answer */
static CriImage image;
static bool has_image, unit_active;
static unsigned starts;

static StepStatus status;

int service_is_active(const char *unit, StepContext *context, struct timespec *ret_since,
                      Error *err)
{
        (void) err;
        (void) ret_since;
        CHECK_STR(unit, "containerd.service");
        if (!unit_active) {
                step_not_yet(context, "%s is inactive", unit);
        }
        return unit_active;
}

int service_start(const char *unit, StepContext *context, Error *err)
{
        (void) context;
        (void) err;
        CHECK_STR(unit, "containerd.service");
        unit_active = true;
        starts++;
        return 0;
}

void service_not_yet(const char *unit, const char *why, StepContext *context)
{
        (void) unit;
        step_not_yet(context, "%s", why);
}

const StepRetry service_looks = { .first_ms = 1, .max_ms = 2 };

int cri_status(const char *socket, const Wait *wait, CriStatus *ret, Error *err)
{
        (void) wait;
        CHECK_STR(socket, "/run/containerd/containerd.sock");
        if (listens < 0) {
                return error_set(err, ERROR_RETRY, -listens, "connect to %s", socket);
        }
        *ret = said;
        return 0;
}

int cri_version(const char *socket, const Wait *wait, CriVersion *ret, Error *err)
{
        (void) socket;
        (void) wait;
        (void) err;
        *ret = (CriVersion) { .name = "containerd", .version = "1.6.20" };
        return 0;
}

int cri_image_id(const char *socket, const char *name, const Wait *wait, CriImage *ret, Error *err)
{
        (void) socket;
        (void) wait;
        (void) err;
        CHECK_STR(name, PAUSE);
        *ret = image;
        return has_image;
}

/* A containerd as the AMI's configuration makes it. */
static void reset(void)
{
        said = (CriStatus) { .runtime_ready.is_true = true,
                             .cgroup_driver = "systemd",
                             .cni_bin_dirs = { "/run/none", "/run/plugins" },
                             .n_cni_bin_dirs = 2,
                             .cni_conf_dir = "/run/kube-bootstrap/cni" };
        image = (CriImage) { .is_pinned = true };
        has_image = unit_active = true;
        listens = 0;
        starts = 0;
}

static int look(StepFunction *probe, StepFunction *apply, Error *err)
{
        return run_step(probe, apply, MACHINE_PLAN, &status, err);
}

static void runs_as_kubelet_needs_it(void)
{
        Error err = {};
        reset();
        CHECK_OK(look(containerd_probe, containerd_apply, &err), err);
        CHECK_INT(status.state, STEP_DONE);
}

static void waits_for_what_comes(void)
{
        Error err = {};
        reset();
        listens = -ENOENT;
        CHECK_OK(look(containerd_probe, containerd_apply, &err), err);
        CHECK_INT(status.state, STEP_WOULD_APPLY);
        CHECK_CONTAINS(status.reason, "does not answer at /run/containerd/containerd.sock");
        reset();
        said.runtime_ready = (CriCondition) { .message = "still loading plugins" };
        CHECK_OK(look(containerd_probe, containerd_apply, &err), err);
        CHECK_STR(status.reason, "containerd is not ready: still loading plugins");
        reset();
        unit_active = false;
        CHECK_OK(run_step(containerd_probe, containerd_apply, MACHINE_CONVERGE, &status, &err),
                 err);
        CHECK_INT(starts, 1);
}

static void refuses(const char *text)
{
        Error err = {};
        CHECK(look(containerd_probe, containerd_apply, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, text);
        reset();
}

static void refuses_what_kubelet_could_not_use(void)
{
        reset();
        (void) snprintf(said.cgroup_driver, sizeof(said.cgroup_driver), "cgroupfs");
        refuses("the cgroup driver \"cgroupfs\", but CGROUP_DRIVER is \"systemd\"");
        (void) snprintf(said.cni_conf_dir, sizeof(said.cni_conf_dir), "/etc/cni/net.d");
        refuses("from \"/etc/cni/net.d\", expected /run/kube-bootstrap/cni");
        said.n_cni_bin_dirs = 1;
        refuses("the network plugin bridge is not in /run/none");
        said.n_cni_bin_dirs = 0;
        refuses("is not in any folder");
        has_image = false;
        refuses(PAUSE " is not among containerd's images");
        image.is_pinned = false;
        refuses("containerd 1.6.20 does not keep " PAUSE);
}

static void bridge_is(const char *address)
{
        Error err = {};
        Netif bridge;
        struct in_addr found;
        unsigned prefix = 0;
        REQUIRE(netif_find_by_name(POD_BRIDGE, &bridge, &err) == 1);
        CHECK_INT(netif_first_address(&bridge, &found, &prefix, &err), 1);
        CHECK_STR(inet_ntoa(found), address);
        CHECK_INT(prefix, 24);
}

static void pods_are_given_the_overlay(void)
{
        Error err = {};
        reset();
        CHECK_OK(look(cni_probe, cni_apply, &err), err);
        CHECK_STR(status.reason, "bridge cbr0 does not have the overlay's address");
        said.network_ready.is_true = true; /* as once there is a file */
        CHECK_OK(run_step(cni_probe, cni_apply, MACHINE_CONVERGE, &status, &err), err);
        CHECK_STR(status.warning, "");
        bridge_is("10.244.5.1");
        _cleanup_buffer_ Buffer text = {};
        CHECK_OK(file_read(CNI_FILE, 4096, &text, &err), err);
        CHECK_CONTAINS(text.data, "\"subnet\": \"10.244.5.0/24\"");
        CHECK_CONTAINS(text.data, "\"mtu\": 1450");

        said.network_ready = (CriCondition) { .message = "cni plugin not initialized" };
        CHECK_OK(look(cni_probe, cni_apply, &err), err);
        CHECK_STR(status.reason, "containerd has no network for pods: cni plugin not initialized");
}

/* Connects one end of a cable to the bridge. A plugin would put the other end into a pod. */
static void start_pod(void)
{
        static const char *const argv[] = { "/sbin/ip", "link",     "add",  "port",
                                            "master",   POD_BRIDGE, "type", "veth",
                                            "peer",     "name",     "pod",  NULL };
        _cleanup_process_result_ ProcessResult result = {};
        Error err = {};
        Wait wait = test_patience();
        CHECK_OK(process_run(&(ProcessOptions) { .argv = argv }, &wait, &result, &err), err);
        CHECK_INT(result.exit_status, 0);
}

/* A Node that was deleted has another subnet when it registers anew. */
static void another_subnet_is_told(void)
{
        Error err = {};
        reset();
        said.network_ready.is_true = true;
        boot.overlay_address.s_addr = inet_addr("10.244.8.1");
        CHECK_OK(run_step(cni_probe, cni_apply, MACHINE_CONVERGE, &status, &err), err);
        CHECK_STR(status.warning, ""); /* there was no pod yet */
        bridge_is("10.244.8.1");
        start_pod();
        boot.overlay_address.s_addr = inet_addr("10.244.9.1");
        CHECK_OK(look(cni_probe, cni_apply, &err), err);
        CHECK_INT(status.state, STEP_WOULD_APPLY);
        CHECK_OK(run_step(cni_probe, cni_apply, MACHINE_CONVERGE, &status, &err), err);
        CHECK_CONTAINS(status.warning,
                       "pods with an address outside 10.244.9.0/24 have no network");
        bridge_is("10.244.9.1");
        CHECK_INT(netif_has_ports(POD_BRIDGE, &err), 1);
        CHECK_OK(run_step(cni_probe, cni_apply, MACHINE_CONVERGE, &status, &err), err);
        CHECK_STR(status.warning, "");
}

static bool has_machine(void)
{
        static const char *const plugins[] = { "bridge", "host-local", "loopback", "portmap" };
        if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 ||
            file_make_directory("/run/plugins", 0755, ERROR_IGNORED) < 0) {
                return false;
        }
        FOREACH_ARRAY(name, plugins, ELEMENTS(plugins)) {
                char path[64];
                (void) snprintf(path, sizeof(path), "/run/plugins/%s", *name);
                if (file_write(path, "#", 1, 0755, ERROR_IGNORED) < 0) {
                        return false;
                }
        }
        return true;
}

int main(void)
{
        static const TestCase cases[] = {
                { "containerd: runs as kubelet needs it", runs_as_kubelet_needs_it },
                { "containerd: what does not answer yet is waited for", waits_for_what_comes },
                { "containerd: what kubelet could not use is refused",
                  refuses_what_kubelet_could_not_use },
                { "cni: pods are given this machine's part of the overlay",
                  pods_are_given_the_overlay },
                { "cni: another subnet readdresses the bridge; pods stay on it, with a warning",
                  another_subnet_is_told },
        };
        boot.config = (StackConfig) { .cgroup_driver = TEXT("systemd") };
        boot.images = (Images) { .pause = TEXT(PAUSE), .runtime = RUNTIME_CONTAINERD };
        boot.overlay_address.s_addr = inet_addr("10.244.5.1");
        boot.overlay_prefix = 24;
        boot.overlay_mtu = 1450;
        test_chain(has_machine() ? NULL : "namespaces need root", cases, ELEMENTS(cases));
        return test_done();
}
