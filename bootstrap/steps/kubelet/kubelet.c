/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/render.h"
#include "host/http.h"
#include "host/journal.h"
#include "host/process.h"
#include "steps/kubelet/join.h"
#include "steps/services/service.h"

/* kubelet: its configuration and flags by its version, what it joins with, and the unit. */

#define KUBELET             "/usr/bin/kubelet"
#define KUBELET_BASE        "/etc/kubernetes/kubelet.json"
#define KUBELET_CONFIG      "/run/kube-bootstrap/kubelet.json"
#define KUBELET_ENVIRONMENT "/run/kube-bootstrap/kubelet.env"
#define KUBELET_KUBECONFIG  KUBELET_CERTS "/kubeconfig"
#define KUBELET_HEALTHZ     "http://127.0.0.1:10248/healthz"
/* systemd-resolved's list of name servers. /etc/resolv.conf may name its stub on 127.0.0.53
 * instead, which is something else in a pod: CoreDNS would ask itself. */
#define RESOLVED_SERVERS "/run/systemd/resolve/resolv.conf"

static int ask_version(StepContext *context, Error *err)
{
        const char *const argv[] = { KUBELET, "--version", NULL };
        _cleanup_process_result_ ProcessResult result = {};
        int r = process_run_checked(&(ProcessOptions) { .argv = argv, .output_max = 256 },
                                    step_wait(context), &result, err);
        return r < 0 ? r : render_check_kubelet_version(result.output.data, err);
}

/* Refuses a kubelet of an unsupported version. It is asked once, unless the file becomes another:
 * to start it takes longer than all else that the step does. */
static int check_version(Boot *boot, StepContext *context, Error *err)
{
        struct stat *known = &boot->memory.kubelet;
        struct stat st;
        if (stat(KUBELET, &st) < 0) {
                return error_errno(err, errno, "stat " KUBELET);
        }
        if (st.st_dev == known->st_dev && st.st_ino == known->st_ino &&
            st.st_ctim.tv_sec == known->st_ctim.tv_sec &&
            st.st_ctim.tv_nsec == known->st_ctim.tv_nsec) {
                return 0;
        }
        int r = ask_version(context, err);
        if (r >= 0) {
                *known = st;
        }
        return r;
}

/* Both files as this machine needs them. */
static int render_files(Boot *boot, StepContext *context, Buffer *ret_config,
                        Buffer *ret_environment, Error *err)
{
        char dns[INET_ADDRSTRLEN];
        KubeletParameters parameters = {
                .node_name = boot->node_name,
                .node_ip = boot->identity.local_ip,
                .cgroup_driver = boot->config.cgroup_driver,
                .cluster_dns = dns,
                .cluster_domain = boot->config.cluster_domain,
                .cloud_provider = boot->config.cloud_provider,
                .pause_image = boot->images.pause,
                .config_path = KUBELET_CONFIG,
                .client_ca = SECRETS_DIR "/ca.crt",
                .resolv_conf = access(RESOLVED_SERVERS, F_OK) == 0 ? RESOLVED_SERVERS : NULL,
                .cert_dir = KUBELET_CERTS,
                .kubeconfig = KUBELET_KUBECONFIG,
                .bootstrap_kubeconfig = BOOTSTRAP_KUBECONFIG,
        };
        int r = check_version(boot, context, err);
        if (r >= 0) {
                r = render_cluster_dns(boot->config.service_network, dns, err);
        }
        if (r < 0) {
                return r;
        }
        _cleanup_buffer_ Buffer base = {};
        r = file_read(KUBELET_BASE, 1 << 20, &base, err);
        if (r < 0 && r != -ENOENT) {
                return r;
        }
        r = render_kubelet_config(base.data, &parameters, ret_config, err);
        if (r < 0) {
                return error_prefix(err, KUBELET_BASE);
        }
        return render_kubelet_environment(&parameters, ret_environment, err);
}

static int files_are_right(Boot *boot, StepContext *context, Error *err)
{
        _cleanup_buffer_ Buffer config = {}, environment = {};
        int r = render_files(boot, context, &config, &environment, err);
        if (r < 0) {
                return r;
        }
        r = file_differs(KUBELET_CONFIG, config.data, config.size, 0644, err);
        if (r == 0) {
                r = file_differs(KUBELET_ENVIRONMENT, environment.data, environment.size, 0644,
                                 err);
        }
        return r < 0 ? r : r == 0;
}

/* Whether kubelet has its certificate, or what it asks for one with: 1 or 0. */
static int can_join(const Boot *boot, Error *err)
{
        int r = join_has_certificate(err);
        if (r != 0) {
                return r;
        }
        r = join_local_probe(boot, err);
        if (r <= 0) {
                return r;
        }
        _cleanup_secret_ Secret kubeconfig = SECRET_INIT;
        r = join_render_bootstrap_kubeconfig(boot, &kubeconfig, err);
        if (r < 0) {
                return r == -ENOENT ? 0 : r;
        }
        r = file_differs(BOOTSTRAP_KUBECONFIG, kubeconfig.data, kubeconfig.size, 0600, err);
        return r < 0 ? r : r == 0;
}

int kubelet_config_probe(void *userdata, StepContext *context, Error *err)
{
        int r = files_are_right(userdata, context, err);
        if (r <= 0) {
                return r;
        }
        return access(KUBELET_CERTS, F_OK) == 0 ? can_join(userdata, err) : 0;
}

/* The master makes its own token, as nobody could give it one; a node waits for what the master
 * left in the bucket. */
static int prepare_to_join(Boot *boot, StepContext *context, Error *err)
{
        int r = can_join(boot, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        r = boot->config.role == ROLE_MASTER ? join_ensure_local(boot, context, err)
                                             : join_fetch(boot, context, err);
        if (r < 0) {
                return r;
        }
        _cleanup_secret_ Secret kubeconfig = SECRET_INIT;
        r = join_render_bootstrap_kubeconfig(boot, &kubeconfig, err);
        if (r < 0) {
                return r;
        }
        r = file_write_if_changed(BOOTSTRAP_KUBECONFIG, kubeconfig.data, kubeconfig.size, 0600,
                                  err);
        return r < 0 ? r : 0;
}

int kubelet_config_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_buffer_ Buffer config = {}, environment = {};
        int r = render_files(boot, context, &config, &environment, err);
        if (r >= 0) {
                r = file_make_directory(KUBELET_CERTS, 0700, err);
        }
        if (r >= 0) {
                r = file_write_if_changed(KUBELET_CONFIG, config.data, config.size, 0644, err);
        }
        if (r >= 0) {
                r = file_write_if_changed(KUBELET_ENVIRONMENT, environment.data, environment.size,
                                          0644, err);
        }
        return r < 0 ? r : prepare_to_join(boot, context, err);
}

/* 1 kubelet says ok, 0 it does not, or says nothing, or nobody listens. */
static int kubelet_answers(StepContext *context, Error *err)
{
        _cleanup_http_reply_ HttpReply reply = {};
        HttpRequest request = {
                .method = "GET", .url = KUBELET_HEALTHZ, .timeout_ms = 5000, .reply_max = 4096
        };
        int r = http_exchange(&request, step_wait(context), &reply, err);
        if (r == -ECONNREFUSED || r == -ETIMEDOUT) {
                return 0;
        }
        return r < 0 ? r : reply.status == 200 && streq(reply.body.data, "ok");
}

/* What kubelet reads when it starts; the last one only while it has no certificate. */
static const char *const kubelet_files[] = { KUBELET_CONFIG, KUBELET_ENVIRONMENT,
                                             BOOTSTRAP_KUBECONFIG };

static int count_files(size_t *ret, Error *err)
{
        int r = join_has_certificate(err);
        if (r >= 0) {
                *ret = ELEMENTS(kubelet_files) - (r ? 1 : 0);
        }
        return r;
}

/* Whether it runs, and with the files as they are now: 1 or 0. */
static int kubelet_is_current(StepContext *context, Error *err)
{
        struct timespec since;
        size_t n = 0;
        int r = service_is_active(UNIT_KUBELET, context, &since, err);
        if (r <= 0) {
                return r;
        }
        r = count_files(&n, err);
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(file, kubelet_files, n) {
                r = service_is_older_than(&since, *file, err);
                if (r != 0) {
                        return r < 0 ? r : 0;
                }
        }
        return 1;
}

int kubelet_probe(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        int r = kubelet_is_current(context, err);
        return r <= 0 ? r : kubelet_answers(context, err);
}

/* 1 once it says ok, 0 if it has not within a minute. */
static int kubelet_await(StepContext *context, Error *err)
{
        Wait part = wait_part(step_wait(context), 60000);
        for (unsigned attempt = 0;; attempt++) {
                if (attempt % 20 == 0) {
                        service_wait_for(UNIT_KUBELET, "kubelet's healthz", attempt, context);
                }
                int r = kubelet_answers(context, err);
                if (r != 0) {
                        return r;
                }
                r = wait_sleep(&part, attempt < 40 ? 50 : 500, err);
                if (r < 0) {
                        return r == -ETIMEDOUT ? 0 : r;
                }
        }
}

static int kubelet_restart(StepContext *context, Error *err)
{
        size_t n = 0;
        int r = count_files(&n, err);
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(file, kubelet_files, n) {
                r = file_clamp_time(*file, err);
                if (r < 0) {
                        return r;
                }
        }
        return service_restart(UNIT_KUBELET, context, err);
}

/* systemd may have just started it anew, and to start it once more would not help: 1 if it comes by
 * itself, 0 if it must be restarted (or runs well and is to be restarted all the same: --from). */
static int kubelet_comes(StepContext *context, Error *err)
{
        int r = kubelet_is_current(context, err);
        if (r <= 0) {
                return r;
        }
        r = kubelet_answers(context, err);
        return r < 0 ? r : r > 0 ? 0 : kubelet_await(context, err);
}

int kubelet_apply(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        int r = kubelet_comes(context, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        r = kubelet_restart(context, err);
        r = r < 0 ? r : kubelet_await(context, err);
        if (r == 0) {
                (void) error_set(err, ERROR_RETRY, ETIMEDOUT, "kubelet is not healthy");
                return journal_explain(UNIT_KUBELET, err);
        }
        return r < 0 ? r : 0;
}
