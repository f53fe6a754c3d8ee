/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/container_runtime.h"
#include "base/error.h"
#include "base/network.h"
#include "base/string.h"

/* Makes the configuration of this machine's programs from what is known of the machine. Pure: bytes
 * in, bytes out. */

/* Appends the value of flannel's key:
 * {"Network":"10.244.0.0/16","SubnetLen":24,"Backend":{"Type":"vxlan"}}
 * https://github.com/flannel-io/flannel/blob/master/Documentation/configuration.md */
int render_flannel_config(Network overlay, const char *backend, Buffer *ret, Error *err);

/* Appends the environment file of docker.service's drop-in: the bridge with the overlay's subnet,
 * its MTU, no masquerade (flanneld does it), no userland proxy (with it, a pod cannot reach its own
 * service), the cgroup driver. The subnet is in a comment, so that another subnet makes another
 * file. */
int render_docker_environment(const char *bridge, const char *subnet, unsigned mtu,
                              const char *cgroup_driver, Buffer *ret, Error *err);

/* Appends containerd's network configuration for pods: a bridge and addresses of the subnet, pods
 * that may reach themselves through a service, ports of the machine for pods that ask for them. No
 * masquerade: flanneld does it.
 * https://github.com/containernetworking/cni/blob/main/SPEC.md
 * https://www.cni.dev/plugins/current/main/bridge/ */
int render_cni(const char *bridge, const char *subnet, unsigned mtu, Buffer *ret, Error *err);

/* Checks what `kubelet --version` prints ("Kubernetes v1.20.2"). ERROR_CONFIG if it is not of the
 * range that works with the runtime: with docker 1.19 to 1.23 (dockershim was removed in 1.24,
 * https://kubernetes.io/blog/2022/02/17/dockershim-faq/), with containerd 1.36 and later. */
int render_check_kubelet_version(ContainerRuntime runtime, const char *text, Error *err);

typedef struct KubeletParameters {
        const char *node_name; /* the private DNS name */
        const char *node_ip;
        ContainerRuntime runtime;
        bool has_cgroup_v1; /* not the unified hierarchy: kubelet from 1.35 on wants to be told */
        const char *cgroup_driver; /* cgroupfs, systemd */
        const char *cluster_dns;   /* address of the DNS service */
        const char *cluster_domain;
        const char *cloud_provider; /* none, aws, external */
        const char *pause_image;
        const char *config_path; /* where render_kubelet_config()'s result lies */
        const char *client_ca;   /* signs those who may call kubelet */
        const char *resolv_conf; /* the machine's name servers, where not in /etc/resolv.conf; or
                                    NULL */
        /* kubelet's credential providers: their folder, and their configuration; or both NULL */
        const char *provider_folder, *provider_config;
        /* on the tmpfs: the folder of kubelet's certificates, and its kubeconfig */
        const char *cert_dir, *kubeconfig;
} KubeletParameters;

/* Appends a KubeletConfiguration (v1beta1, as JSON): the administrator's base document (may be NULL
 * or empty), in which the values that this machine must have replace others. resolv_conf is added
 * if the base names none. A base that is not a JSON object of that kind is ERROR_CONFIG.
 * https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/ */
int render_kubelet_config(const char *base, const KubeletParameters *parameters, Buffer *ret,
                          Error *err);

/* Appends kubelet.service's environment file, which has kubelet's flags. Credential providers are
 * passed with containerd only: kubelet 1.19 does not know their flags, and up to 1.23 it takes them
 * only with a feature gate. It needs both flags.
 * https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/ */
int render_kubelet_environment(const KubeletParameters *parameters, Buffer *ret, Error *err);

/* Writes the tenth address of the service network, which the cluster's DNS service gets (as kubeadm
 * does). */
void render_cluster_dns(Network service_network, char ret[INET_ADDRSTRLEN]);

/* A variable of a template. A NULL value means that the name is known, but has no value on this
 * machine. */
typedef struct RenderVariable {
        const char *name; /* [A-Z][A-Z0-9_]* */
        const char *value;
} RenderVariable;

/* Appends the template with each ${NAME} replaced by its value. "$${" stands for "${" itself. A "$"
 * before anything else stays as it is, so that Kubernetes' own $(NAME) and a shell's $NAME need no
 * care. An unknown name, a reference that does not end, or a value with a control character (which
 * could change what the lines around it mean) is ERROR_CONFIG, and the message has the line. A name
 * without a value is ERROR_CONFIG too, with -ENODATA. */
int render_template(const char *text, size_t n, const RenderVariable *variables, size_t n_variables,
                    Buffer *ret, Error *err);
