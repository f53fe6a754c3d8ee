/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/render.h"
#include "host/process.h"
#include "steps/kubelet/join.h"

/* kubelet-config: kubelet's configuration, its flags, and what it joins with. */

#define KUBELET             "/usr/bin/kubelet"
#define AUTHORITY_BYTES_MAX ((size_t) 64 << 10)
#define KUBELET_BASE        "/etc/kubernetes/kubelet.json"

/* An image that can pull from ECR has both (packer/provision/36-ecr-credential-provider.sh).
 * kubelet ends where it is told of one that is absent. */
#define PROVIDER_FOLDER "/usr/libexec/kubernetes/credential-providers"
#define PROVIDER_CONFIG "/etc/kubernetes/credential-providers.json"

/* A file that the root of a cgroup v2 hierarchy has.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files */
#define CGROUP_V2_MARK "/sys/fs/cgroup/cgroup.controllers"

/* systemd-resolved's list of name servers. /etc/resolv.conf may name its stub on 127.0.0.53
 * instead, which is something else in a pod: CoreDNS would ask itself. */
#define RESOLVED_SERVERS "/run/systemd/resolve/resolv.conf"

static int ask_version(ContainerRuntime runtime, StepContext *context, Error *err)
{
        const char *const argv[] = { KUBELET, "--version", NULL };
        _cleanup_process_result_ ProcessResult result = {};
        int r = process_run_checked(&(ProcessOptions) { .argv = argv, .output_max = 256 },
                                    step_wait(context), &result, err);
        return r < 0 ? r : render_check_kubelet_version(runtime, result.output.data, err);
}

/* Refuses a kubelet of an unsupported version. The version is asked for once, and again only if the
 * file changes: starting kubelet takes longer than everything else that the step does. */
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
        int r = ask_version(boot->images.runtime, context, err);
        if (r >= 0) {
                *known = st;
        }
        return r;
}

/* Renders both files as this machine needs them. */
static int render_files(Boot *boot, StepContext *context, Buffer *ret_config,
                        Buffer *ret_environment, Error *err)
{
        char dns[INET_ADDRSTRLEN];
        KubeletParameters parameters = {
                .node_name = boot->node_name,
                .node_ip = boot->identity.local_ip,
                .runtime = boot->images.runtime,
                .cgroup_driver = boot->config.cgroup_driver,
                .cluster_dns = dns,
                .cluster_domain = boot->config.cluster_domain,
                .cloud_provider = boot->config.cloud_provider,
                .pause_image = boot->images.pause,
                .config_path = KUBELET_CONFIG,
                .client_ca = SECRETS_DIR "/ca.crt",
                .has_cgroup_v1 = access(CGROUP_V2_MARK, F_OK) < 0,
                .resolv_conf = access(RESOLVED_SERVERS, F_OK) == 0 ? RESOLVED_SERVERS : NULL,
                .cert_dir = KUBELET_CERTS,
                .kubeconfig = KUBELET_KUBECONFIG,
                .bootstrap_kubeconfig = BOOTSTRAP_KUBECONFIG,
        };
        if (access(PROVIDER_FOLDER, F_OK) == 0 && access(PROVIDER_CONFIG, F_OK) == 0) {
                parameters.provider_folder = PROVIDER_FOLDER;
                parameters.provider_config = PROVIDER_CONFIG;
        }
        render_cluster_dns(boot->config.service_network, dns);
        int r = check_version(boot, context, err);
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

static int read_authority(Buffer *ret, Error *err)
{
        return file_read(SECRETS_DIR "/ca.crt", AUTHORITY_BYTES_MAX, ret, err);
}

static int files_are_right(Boot *boot, StepContext *context, Error *err)
{
        _cleanup_buffer_ Buffer config = {}, environment = {}, authority = {};
        int r = render_files(boot, context, &config, &environment, err);
        if (r >= 0) {
                r = read_authority(&authority, err);
        }
        if (r < 0) {
                return r;
        }
        char how[FILE_DIFFERENCE_MAX];
        r = file_difference(KUBELET_CONFIG, config.data, config.size, 0644, how, err);
        if (r == 0) {
                r = file_difference(KUBELET_ENVIRONMENT, environment.data, environment.size, 0644,
                                    how, err);
        }
        if (r == 0) {
                r = file_difference(KUBELET_AUTHORITY, authority.data, authority.size, 0644, how,
                                    err);
        }
        if (r > 0) {
                step_not_yet(context, "%s", how);
        }
        return r < 0 ? r : r == 0;
}

/* Returns 1 if kubelet has its certificate, or the token and kubeconfig to ask for one; else 0. */
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
        r = access(KUBELET_CERTS, F_OK) == 0 ? can_join(userdata, err) : 0;
        if (r == 0) {
                step_not_yet(context, "kubelet has neither a certificate nor a token to join with");
        }
        return r;
}

/* Makes sure that kubelet can join. A master makes its own token, because nobody else could give it
 * one; a node waits for the token that the master leaves in the bucket. */
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
        _cleanup_buffer_ Buffer config = {}, environment = {}, authority = {};
        int r = render_files(boot, context, &config, &environment, err);
        if (r >= 0) {
                r = read_authority(&authority, err);
        }
        if (r >= 0) {
                r = file_make_directory(KUBELET_CERTS, 0700, err);
        }
        if (r >= 0) {
                r = file_write_if_changed(KUBELET_AUTHORITY, authority.data, authority.size, 0644,
                                          err);
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
