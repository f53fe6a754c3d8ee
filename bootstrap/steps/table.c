/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/boot.h"

/* THE table: the boot, row by row. Runner, status, plan, graph and the manual page follow from it.
 */

/* clang-format off */
#define STEP(id)    STEP_MASK(BOOT_##id)
#define RETRY_LOCAL         { .first_ms = 250, .max_ms = 5000 }   /* what runs on this machine */
#define RETRY_AWS           { .first_ms = 1000, .max_ms = 15000 } /* what other instances share */
#define RETRY_NEVER         { 0 }
/* clang-format on */

/* EC2 may describe the old state for a few seconds after it accepted a change. private-ip has no
 * such time, because its apply also restores what the kernel lost.
 * https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html */
#define SETTLE_EC2_S 10

/* A changed IAM policy takes effect within seconds, so the first pauses are short. If a person must
 * act, a retry every few minutes is enough. */
const StepRetry boot_again = { .first_ms = 2000, .max_ms = 300000 };
const unsigned boot_patience_ms = 600000; /* a third of the template's timeout */

/* Each row has reprobe_s, or a comment that says why not. */
const Step boot_steps[_BOOT_STEP_MAX] = {
        /* Each run of the table reads the file, and a reload starts one. At any other time a person
         * may be in the middle of an edit. */
        [BOOT_CONFIG] = {
                .name = "config", .runs_on = KIND_ALL,
                .makes_true = "stack-config.sh is parsed as data and every value is valid",
                .probe = config_probe, .retry = RETRY_NEVER, .deadline_s = 30,
        },
        /* A running machine keeps its identity; each run of the table reads it again. */
        [BOOT_IDENTITY] = {
                .name = "identity", .runs_on = KIND_ALL, .needs = STEP(CONFIG),
                .makes_true = "instance, zone, interfaces and role are known from IMDSv2, the name from EC2",
                .probe = identity_probe, .retry = RETRY_LOCAL, .deadline_s = 600,
        },
        [BOOT_SOURCE_DEST_CHECK] = {
                .name = "source-dest-check", .runs_on = KIND_ALL, .needs = STEP(IDENTITY),
                .makes_true = "the source/destination check is off on every interface",
                .probe = source_dest_check_probe, .apply = source_dest_check_apply,
                .retry = RETRY_AWS, .settle_s = SETTLE_EC2_S, .deadline_s = 600, .reprobe_s = 900,
                .denial_is_warning = true,
        },
        [BOOT_VOLUME_ATTACH] = {
                .name = "volume-attach", .runs_on = KIND_MASTER, .needs = STEP(IDENTITY),
                .makes_true = "the master volume is attached to this instance",
                .probe = volume_attach_probe, .apply = volume_attach_apply,
                .retry = RETRY_AWS, .reprobe_s = 300,
        },
        /* volume-mount checks that the filesystem is still the one that was mounted. */
        [BOOT_VOLUME_FORMAT] = {
                .name = "volume-format", .runs_on = KIND_MASTER, .needs = STEP(VOLUME_ATTACH),
                .makes_true = "this cluster's filesystem is on the volume",
                .probe = volume_format_probe, .apply = volume_format_apply,
                .retry = RETRY_NEVER, .deadline_s = 600, .destroys_data = true,
        },
        [BOOT_VOLUME_MOUNT] = {
                .name = "volume-mount", .runs_on = KIND_MASTER, .needs = STEP(VOLUME_FORMAT),
                .makes_true = "the volume is checked, grown to its device and mounted",
                .probe = volume_mount_probe, .apply = volume_mount_apply,
                .retry = RETRY_LOCAL, .deadline_s = 1800, .reprobe_s = 60,
        },
        [BOOT_SECRETS] = {
                .name = "secrets", .runs_on = KIND_ALL, .needs = STEP(IDENTITY) | STEP(VOLUME_MOUNT),
                .makes_true = "/srv/kubernetes, a tmpfs, holds this role's certificates and tokens",
                .probe = secrets_probe, .apply = secrets_apply,
                .retry = RETRY_LOCAL, .reprobe_s = 300,
        },
        /* The addresses follow a volume that the secrets prove to be this cluster's. A master that
         * was given a wrong volume, for example a blank one, must not take them from the right
         * master. */
        [BOOT_ELASTIC_IP] = {
                .name = "elastic-ip", .runs_on = KIND_MASTER, .needs = STEP(SECRETS),
                .makes_true = "the Elastic IP is associated with this instance",
                .probe = elastic_ip_probe, .apply = elastic_ip_apply,
                .retry = RETRY_AWS, .settle_s = SETTLE_EC2_S, .deadline_s = 600, .reprobe_s = 300,
        },
        [BOOT_PRIVATE_IP] = {
                .name = "private-ip", .runs_on = KIND_MASTER, .needs = STEP(SECRETS),
                .makes_true = "the fixed private address is on this instance, in EC2 and in the kernel",
                .probe = private_ip_probe, .apply = private_ip_apply,
                .retry = RETRY_AWS, .deadline_s = 600, .reprobe_s = 120,
        },
        [BOOT_CONTAINERD] = {
                .name = "containerd", .runs_on = KIND_CONTAINERD, .needs = STEP(CONFIG),
                .makes_true = "containerd runs as kubelet needs it, and keeps the pause image",
                .probe = containerd_probe, .apply = containerd_apply,
                .retry = RETRY_LOCAL, .deadline_s = 600, .reprobe_s = 60,
        },
        [BOOT_DOCKER_BOOTSTRAP] = {
                .name = "docker-bootstrap", .runs_on = KIND_ALL,
                .needs = STEP(CONFIG) | STEP(CONTAINERD),
                .makes_true = "the second docker answers on its own socket",
                .probe = docker_bootstrap_probe, .apply = docker_bootstrap_apply,
                .retry = RETRY_LOCAL, .deadline_s = 600, .reprobe_s = 60,
        },
        [BOOT_ETCD] = {
                .name = "etcd", .runs_on = KIND_MASTER,
                .needs = STEP(DOCKER_BOOTSTRAP) | STEP(VOLUME_MOUNT) | STEP(SECRETS) | STEP(PRIVATE_IP),
                .makes_true = "etcd is healthy over TLS, its data on the volume",
                .probe = etcd_probe, .apply = etcd_apply,
                .retry = RETRY_LOCAL, .deadline_s = 900, .reprobe_s = 60,
        },
        [BOOT_FLANNEL_CONFIG] = {
                .name = "flannel-config", .runs_on = KIND_MASTER & KIND_DOCKER, .needs = STEP(ETCD),
                .makes_true = "the overlay's configuration is in etcd, and nodes may use it alone",
                .probe = flannel_config_probe, .apply = flannel_config_apply,
                .retry = RETRY_LOCAL, .deadline_s = 600, .reprobe_s = 60,
        },
        /* With docker, the overlay comes before the pods, and its leases are in etcd. */
        [BOOT_FLANNELD] = {
                .name = "flanneld", .runs_on = KIND_DOCKER,
                .needs = STEP(DOCKER_BOOTSTRAP) | STEP(SECRETS) | STEP(SOURCE_DEST_CHECK) | STEP(FLANNEL_CONFIG),
                .makes_true = "flanneld has a subnet, and the kernel matches every lease",
                .probe = flanneld_probe, .apply = flanneld_apply,
                .retry = RETRY_LOCAL, .reprobe_s = 30,
        },
        [BOOT_DOCKER] = {
                .name = "docker", .runs_on = KIND_DOCKER, .needs = STEP(FLANNELD),
                .makes_true = "docker runs on the overlay's subnet and MTU",
                .probe = docker_probe, .apply = docker_apply,
                .retry = RETRY_LOCAL, .deadline_s = 900, .reprobe_s = 60,
        },
        [BOOT_STATIC_PODS] = {
                .name = "static-pods", .runs_on = KIND_ALL, .needs = STEP(SECRETS),
                .makes_true = "the manifests of what kubelet runs by itself are filled in",
                .probe = static_pods_probe, .apply = static_pods_apply,
                .retry = RETRY_LOCAL, .deadline_s = 600, .reprobe_s = 60,
        },
        [BOOT_KUBELET_CONFIG] = {
                .name = "kubelet-config", .runs_on = KIND_ALL, .needs = STEP(SECRETS) | STEP(PRIVATE_IP),
                .makes_true = "kubelet's configuration, flags and kubeconfig are here",
                .probe = kubelet_config_probe, .apply = kubelet_config_apply,
                .retry = RETRY_LOCAL, .deadline_s = 600, .reprobe_s = 60,
        },
        /* No deadline: a node waits for its master as long as it takes. */
        [BOOT_KUBELET_CERTIFICATE] = {
                .name = "kubelet-certificate", .runs_on = KIND_ALL, .needs = STEP(SECRETS),
                .makes_true = "kubelet has a certificate of this machine's Node",
                .probe = kubelet_certificate_probe, .apply = kubelet_certificate_apply,
                .retry = RETRY_AWS, .reprobe_s = 60,
        },
        [BOOT_KUBELET] = {
                .name = "kubelet", .runs_on = KIND_ALL,
                /* etcd: an API server that finds none ends, and is started again ever more slowly */
                .needs = STEP(DOCKER) | STEP(CONTAINERD) | STEP(ETCD) | STEP(STATIC_PODS) |
                         STEP(KUBELET_CONFIG) | STEP(KUBELET_CERTIFICATE),
                .makes_true = "kubelet runs and its healthz answers",
                .probe = kubelet_probe, .apply = kubelet_apply,
                .retry = RETRY_LOCAL, .deadline_s = 900, .reprobe_s = 30,
        },
        [BOOT_ROLES] = {
                .name = "roles", .runs_on = KIND_MASTER, .needs = STEP(KUBELET),
                .makes_true = "the API server is ready, and the cluster's parts have their roles",
                .probe = roles_probe, .apply = roles_apply,
                .retry = RETRY_LOCAL, .deadline_s = 900, .reprobe_s = 60,
        },
        /* A person's own manifests are among them: but for `ready`, nothing waits for them. */
        [BOOT_ADDONS] = {
                .name = "addons", .runs_on = KIND_MASTER, .needs = STEP(ROLES),
                .makes_true = "the cluster was given the addons",
                .probe = addons_probe, .apply = addons_apply,
                .retry = RETRY_LOCAL, .deadline_s = 900, .reprobe_s = 60,
        },
        [BOOT_KUBELET_JOIN] = {
                .name = "kubelet-join", .runs_on = KIND_ALL, .needs = STEP(KUBELET) | STEP(ROLES),
                .makes_true = "kubelet's Node is registered with the API server",
                .probe = kubelet_join_probe, .apply = kubelet_join_apply,
                .retry = RETRY_LOCAL, .deadline_s = 900, .reprobe_s = 60,
        },
        /* With containerd, the control plane's pods (of the host's network) come before the overlay,
         * and the leases are in the Nodes. */
        [BOOT_FLANNEL] = {
                .name = "flannel", .runs_on = KIND_CONTAINERD,
                .needs = STEP(DOCKER_BOOTSTRAP) | STEP(SOURCE_DEST_CHECK) | STEP(KUBELET_JOIN) |
                         STEP(ROLES),
                .makes_true = "flanneld has the Node's subnet, and the kernel matches every Node",
                .probe = flannel_probe, .apply = flannel_apply,
                .retry = RETRY_LOCAL, .reprobe_s = 30,
        },
        [BOOT_CNI] = {
                .name = "cni", .runs_on = KIND_CONTAINERD, .needs = STEP(FLANNEL),
                .makes_true = "containerd gives pods addresses of this machine's subnet",
                .probe = cni_probe, .apply = cni_apply,
                .retry = RETRY_LOCAL, .settle_s = 10, .deadline_s = 600, .reprobe_s = 60,
        },
        [BOOT_JOIN_TOKEN] = {
                .name = "join-token", .runs_on = KIND_MASTER, .needs = STEP(ROLES),
                .makes_true = "a token to join with is in the cluster and in the bucket",
                .probe = join_token_probe, .apply = join_token_apply,
                .retry = RETRY_AWS, .deadline_s = 600, .reprobe_s = 60, .routine = true,
        },
        [BOOT_NODES] = {
                .name = "nodes", .runs_on = KIND_MASTER, .needs = STEP(JOIN_TOKEN),
                .makes_true = "who may join is let in, Nodes are labelled, those of the gone deleted",
                .probe = nodes_probe, .apply = nodes_apply,
                .retry = RETRY_LOCAL, .deadline_s = 600, .reprobe_s = 3, .routine = true,
        },
        [BOOT_READY] = {
                .name = "ready", .runs_on = KIND_ALL,
                .needs = STEP(KUBELET_JOIN) | STEP(CNI) | STEP(ELASTIC_IP) | STEP(ADDONS) | STEP(NODES),
                .makes_true = "every unit of this role is active and this machine's Node is Ready",
                .probe = ready_probe, .retry = RETRY_LOCAL, .deadline_s = 900, .reprobe_s = 30,
        },
};
