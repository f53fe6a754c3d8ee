/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/kubeconfig.h"
#include "cluster/render.h"
#include "host/process.h"
#include "steps/api.h"
#include "steps/kubelet/join.h"

/* kubelet-config: kubelet's configuration, its flags and its kubeconfig. */

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

/* The files of a kubelet, as this machine needs them. */
typedef struct KubeletFiles {
        Buffer config, environment, authority, kubeconfig;
} KubeletFiles;

static void files_done(KubeletFiles *files)
{
        buffer_done(&files->config);
        buffer_done(&files->environment);
        buffer_done(&files->authority);
        buffer_done(&files->kubeconfig);
}

static int files_make(Boot *boot, StepContext *context, KubeletFiles *ret, Error *err)
{
        char server[API_SERVER_MAX];
        api_server(boot, server);
        int r = render_files(boot, context, &ret->config, &ret->environment, err);
        if (r >= 0) {
                r = file_read(SECRETS_DIR "/ca.crt", AUTHORITY_BYTES_MAX, &ret->authority, err);
        }
        return r < 0 ? r
                     : kubeconfig_format_files(server, KUBELET_AUTHORITY, "kubelet",
                                               KUBELET_CLIENT_PEM, &ret->kubeconfig, err);
}

typedef struct KubeletFile {
        const char *path;
        const Buffer *content;
        mode_t mode;
} KubeletFile;

#define KUBELET_FILES 4

static void files_list(const KubeletFiles *files, KubeletFile ret[KUBELET_FILES])
{
        const KubeletFile list[KUBELET_FILES] = {
                { KUBELET_CONFIG, &files->config, 0644 },
                { KUBELET_ENVIRONMENT, &files->environment, 0644 },
                { KUBELET_AUTHORITY, &files->authority, 0644 },
                { KUBELET_KUBECONFIG, &files->kubeconfig, 0600 },
        };
        memcpy(ret, list, sizeof(list));
}

int kubelet_config_probe(void *userdata, StepContext *context, Error *err)
{
        _cleanup_(files_done) KubeletFiles files = {};
        KubeletFile list[KUBELET_FILES];
        char how[FILE_DIFFERENCE_MAX];
        int r = files_make(userdata, context, &files, err);
        if (r < 0) {
                return r;
        }
        files_list(&files, list);
        FOREACH_ARRAY(file, list, KUBELET_FILES) {
                r = file_difference(file->path, file->content->data, file->content->size,
                                    file->mode, how, err);
                if (r > 0) {
                        step_not_yet(context, "%s", how);
                }
                if (r != 0) {
                        return r < 0 ? r : 0;
                }
        }
        return 1;
}

int kubelet_config_apply(void *userdata, StepContext *context, Error *err)
{
        _cleanup_(files_done) KubeletFiles files = {};
        KubeletFile list[KUBELET_FILES];
        int r = files_make(userdata, context, &files, err);
        if (r >= 0) {
                r = file_make_directory(KUBELET_CERTS, 0700, err);
        }
        files_list(&files, list);
        FOREACH_ARRAY(file, list, KUBELET_FILES) {
                if (r >= 0) {
                        r = file_write_if_changed(file->path, file->content->data,
                                                  file->content->size, file->mode, err);
                }
        }
        return r < 0 ? r : 0;
}
