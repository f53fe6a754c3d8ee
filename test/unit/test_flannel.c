/* SPDX-License-Identifier: Apache-2.0 */
/* The step flannel, which has its leases in the Nodes, beside an API server, a kernel and a docker
 * that say what a case wants. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "ec2_world.h"
#include "harness.h"
#include "host/docker.h"
#include "host/netif.h"
#include "host/unit.h"
#include "steps/api.h"
#include "steps/services/service.h"

#define TEXT(s) ((char[]) { s }) /* fields own their strings, so they are not const */
#define OWN     "ip-172-20-128-9.ec2.internal"
#define OTHER   "ip-172-20-144-4.ec2.internal"
#define MAC     "5a:00:00:00:00:01"

/* A Node as flanneld leaves it, and one where it has not come yet. */
#define ANNOTATIONS                                                             \
        "\"annotations\":{\"flannel.alpha.coreos.com/backend-type\":\"vxlan\"," \
        "\"flannel.alpha.coreos.com/backend-data\":\"{\\\"VtepMAC\\\":\\\"" MAC "\\\"}\"}"
#define LEASED(name, cidr)                                       \
        "{\"metadata\":{\"name\":\"" name "\"," ANNOTATIONS "}," \
        "\"spec\":{\"podCIDR\":\"" cidr "\"}}"
#define BARE(name, cidr) \
        "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"podCIDR\":\"" cidr "\"}}"

/* What is there. */
static const char *nodes[3];
static bool has_route, is_denied;
static time_t started;
static unsigned stops, restarts;

static StepStatus status;

int service_container_runs(const char *unit, const Container *container, StepContext *context,
                           Error *err)
{
        (void) context;
        (void) err;
        CHECK_STR(unit, "flanneld.service");
        CHECK_STR(container->environment[0], "NODE_NAME=" OWN);
        return 1;
}

static void set_time(const char *path, time_t when)
{
        const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };
        CHECK_INT(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Starts flanneld if it was stopped; it writes its file a little later. */
int service_container_start(const char *unit, const Container *container, StepContext *context,
                            Error *err)
{
        (void) unit;
        (void) container;
        (void) context;
        (void) err;
        if (stops > 0) {
                struct timespec now; /* a file's time is finer than that of time() */
                (void) clock_gettime(CLOCK_REALTIME, &now);
                started = now.tv_sec;
                set_time(SUBNET_ENV, started + 1);
        }
        return 0;
}

int service_restart(const char *unit, StepContext *context, Error *err)
{
        (void) unit;
        (void) context;
        (void) err;
        restarts++;
        return 0;
}

int service_is_older_than(const struct timespec *since, const char *path, Error *err)
{
        struct stat st;
        (void) err;
        return stat(path, &st) == 0 && st.st_mtim.tv_sec > since->tv_sec;
}

int docker_container_started(const char *socket, const char *name, const Wait *wait,
                             struct timespec *ret, Error *err)
{
        (void) wait;
        (void) err;
        CHECK_STR(socket, "/run/docker-bootstrap/docker.sock");
        CHECK_STR(name, "flanneld");
        *ret = (struct timespec) { .tv_sec = started };
        return 1;
}

int unit_stop(const char *name, const Wait *wait, Error *err)
{
        (void) name;
        (void) wait;
        (void) err;
        stops++;
        return 0;
}

int netif_has_route(struct in_addr network, unsigned prefix, char *ret_name, Error *err)
{
        (void) ret_name;
        (void) err;
        CHECK_STR(inet_ntoa(network), "10.244.6.0");
        CHECK_INT(prefix, 24);
        return has_route;
}

int netif_has_neighbour(struct in_addr address, const char *mac, Error *err)
{
        (void) address;
        (void) err;
        CHECK_STR(mac, MAC);
        return 1;
}

int netif_has_mac(const char *name, const char *mac, Error *err)
{
        (void) name;
        (void) err;
        CHECK_STR(mac, MAC);
        return 1;
}

int api_open(const Boot *b, KubeApi **ret, Error *err)
{
        (void) b;
        (void) err;
        *ret = NULL;
        return 0;
}

int kube_api_list(KubeApi *api, const char *path, bool metadata_only, const Wait *wait,
                  KubeApiVisit *visit, void *userdata, Error *err)
{
        (void) api;
        (void) wait;
        CHECK_STR(path, "/api/v1/nodes");
        CHECK(!metadata_only); /* spec.podCIDR is wanted */
        if (is_denied) {
                return error_set(err, ERROR_DENIED, EACCES, "nodes is forbidden");
        }
        for (size_t i = 0; i < ELEMENTS(nodes) && nodes[i]; i++) {
                json_auto_t *node = json_loads(nodes[i], 0, NULL);
                CHECK(node != NULL);
                int r = visit(node, userdata, err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

const char *kube_api_text(const json_t *object, const char *path)
{
        CHECK_STR(path, "metadata.name");
        return json_string_value(json_object_get(json_object_get(object, "metadata"), "name"));
}

void kube_api_free(KubeApi *api)
{
        (void) api;
}

/* A machine whose flanneld has come up, and another one. */
static void reset(void)
{
        Error err = {};
        static const char subnet[] = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.5.1/24\n"
                                     "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
        static const char config[] = "{\"Network\":\"10.244.0.0/16\",\"SubnetLen\":24,"
                                     "\"Backend\":{\"Type\":\"vxlan\"}}";
        CHECK_OK(file_make_directory("/run/flannel", 0755, &err), err);
        CHECK_OK(file_make_directory("/run/kube-bootstrap/flannel", 0755, &err), err);
        CHECK_OK(file_write(SUBNET_ENV, subnet, sizeof(subnet) - 1, 0644, &err), err);
        CHECK_OK(file_write("/run/kube-bootstrap/flannel/net-conf.json", config, sizeof(config) - 1,
                            0644, &err),
                 err);
        set_time("/run/kube-bootstrap/flannel/net-conf.json", time(NULL) - 60);
        started = time(NULL) - 30;
        nodes[0] = LEASED(OWN, "10.244.5.0/24");
        nodes[1] = LEASED(OTHER, "10.244.6.0/24");
        nodes[2] = NULL;
        has_route = true;
        is_denied = false;
        stops = restarts = 0;
        boot.memory.unmended_leases = 0;
}

static int look(Error *err)
{
        return run_step(flannel_probe, flannel_apply, MACHINE_PLAN, &status, err);
}

static void wants(const char *reason)
{
        Error err = {};
        CHECK_OK(look(&err), err);
        CHECK_INT(status.state, STEP_WOULD_APPLY);
        CHECK_CONTAINS(status.reason, reason);
        reset();
}

static void has_the_subnet_of_its_node(void)
{
        Error err = {};
        reset();
        CHECK_OK(look(&err), err);
        CHECK_INT(status.state, STEP_DONE);
        CHECK_STR(inet_ntoa(boot.overlay_address), "10.244.5.1");
        CHECK_INT(boot.overlay_prefix, 24);
        CHECK_INT(boot.overlay_mtu, 1450);
        nodes[1] = BARE(OTHER, "10.244.6.0/24"); /* it is coming up */
        has_route = false;
        CHECK_OK(look(&err), err);
        CHECK_INT(status.state, STEP_DONE);
}

static void sees_what_flanneld_has_lost(void)
{
        reset();
        has_route = false;
        wants("1 leases (first 10.244.6.0/24: no route to it)");
        nodes[0] = BARE(OWN, "10.244.5.0/24"); /* deleted, and registered anew */
        wants("this machine's Node does not have it");
        nodes[0] = LEASED(OWN, "10.244.6.0/24");
        nodes[1] = NULL;
        wants("this machine's Node does not have it");
        nodes[0] = NULL;
        wants("this machine's Node does not have it");
        nodes[0] = BARE(OWN, "10.244.7.0/24"); /* our old subnet is another's now */
        nodes[1] = LEASED(OTHER, "10.244.5.0/24");
        wants("this machine's Node does not have it");
        nodes[0] = LEASED(OWN, "10.244.4.0/23");
        wants("this machine's Node does not have it");
        started = time(NULL) - 90;
        wants("flanneld is older than /run/kube-bootstrap/flannel/net-conf.json");
}

static void starts_flanneld_again_for_another_configuration(void)
{
        Error err = {};
        reset();
        CHECK_OK(file_remove("/run/kube-bootstrap/flannel/net-conf.json", &err), err);
        CHECK_OK(run_step(flannel_probe, flannel_apply, MACHINE_CONVERGE, &status, &err), err);
        CHECK_INT(stops, 1);
        CHECK_INT(restarts, 0);
}

static void waits_for_its_role(void)
{
        Error err = {};
        reset();
        is_denied = true;
        CHECK(look(&err) < 0);
        CHECK_INT(err.class, ERROR_RETRY);
}

static bool has_run(void)
{
        return unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0;
}

int main(void)
{
        static const TestCase cases[] = {
                { "flannel: has the subnet of its Node", has_the_subnet_of_its_node },
                { "flannel: sees what flanneld has lost", sees_what_flanneld_has_lost },
                { "flannel: starts flanneld again for another configuration",
                  starts_flanneld_again_for_another_configuration },
                { "flannel: waits for its role", waits_for_its_role },
        };
        boot.config = (StackConfig) { .overlay_network = { 0x0af40000, 16 },
                                      .overlay_backend = TEXT("vxlan") };
        boot.images = (Images) { .flannel = TEXT("flannel:1"), .runtime = RUNTIME_CONTAINERD };
        (void) snprintf(boot.node_name, sizeof(boot.node_name), OWN);
        deadline_s = 3; /* of what must fail */
        test_chain(has_run() ? NULL : "a mount namespace needs root", cases, ELEMENTS(cases));
        return test_done();
}
