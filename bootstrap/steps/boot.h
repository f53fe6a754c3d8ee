/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "aws/client.h"
#include "aws/credentials.h"
#include "aws/ec2.h"
#include "aws/imds.h"
#include "aws/s3.h"
#include "base/secret.h"
#include "cluster/dockerd.h"
#include "cluster/node_name.h"
#include "config/images.h"
#include "config/stack_config.h"
#include "engine/step.h"
#include "host/blockdev.h"

/* The rows of the table, in the order of a boot: each after what it needs. */
typedef enum BootStep {
        BOOT_CONFIG,
        BOOT_IDENTITY,
        BOOT_SOURCE_DEST_CHECK,
        BOOT_VOLUME_ATTACH,
        BOOT_VOLUME_FORMAT,
        BOOT_VOLUME_MOUNT,
        BOOT_SECRETS,
        BOOT_ELASTIC_IP,
        BOOT_PRIVATE_IP,
        BOOT_CONTAINERD,
        BOOT_DOCKER_BOOTSTRAP,
        BOOT_ETCD,
        BOOT_FLANNEL_CONFIG,
        BOOT_FLANNELD,
        BOOT_DOCKER,
        BOOT_STATIC_PODS,
        BOOT_KUBELET_CONFIG,
        BOOT_KUBELET_CERTIFICATE,
        BOOT_KUBELET,
        BOOT_ROLES,
        BOOT_ADDONS,
        BOOT_KUBELET_JOIN,
        BOOT_FLANNEL,
        BOOT_CNI,
        BOOT_JOIN_TOKEN,
        BOOT_NODES,
        BOOT_READY,
        _BOOT_STEP_MAX,
        _BOOT_STEP_INVALID = -EINVAL,
} BootStep;

extern const Step boot_steps[_BOOT_STEP_MAX];

/* The kinds of machines: a role with a container runtime. A row of the table has the mask of those
 * that run it: KIND_MASTER & KIND_CONTAINERD. */
typedef enum BootKind {
        KIND_DOCKER_MASTER = 1 << 0,
        KIND_DOCKER_NODE = 1 << 1,
        KIND_CONTAINERD_MASTER = 1 << 2,
        KIND_CONTAINERD_NODE = 1 << 3,
        KIND_MASTER = KIND_DOCKER_MASTER | KIND_CONTAINERD_MASTER,
        KIND_NODE = KIND_DOCKER_NODE | KIND_CONTAINERD_NODE,
        KIND_DOCKER = KIND_DOCKER_MASTER | KIND_DOCKER_NODE,
        KIND_CONTAINERD = KIND_CONTAINERD_MASTER | KIND_CONTAINERD_NODE,
        KIND_ALL = KIND_MASTER | KIND_NODE,
} BootKind;

/* The pauses before a resident daemon runs the table again: after a run that failed, or after a
 * denial that was only a warning (denial_is_warning). */
extern const StepRetry boot_again;

/* A resident daemon that was never ready signals FAILURE to the stack this long after its first
 * failed run. A daemon that is started again counts from zero, because no file tells it of the time
 * before. A late signal costs the stack the rest of its own timeout; a signal that is too early
 * rolls back a stack that would have worked. */
extern const unsigned boot_patience_ms;

#define MASTER_MOUNT_POINT   "/var/lib/kubernetes/master"
#define MASTER_ETCD_DATA     MASTER_MOUNT_POINT "/etcd"
#define MASTER_AUDIT         MASTER_MOUNT_POINT "/audit"
#define MASTER_IDENTITY_FILE MASTER_MOUNT_POINT "/cluster-identity.json"
#define SECRETS_DIR          "/srv/kubernetes"
#define KUBELET_CERTS        SECRETS_DIR "/kubelet" /* kubelet's own */
#define KUBELET_CLIENT_PEM   KUBELET_CERTS "/kubelet-client-current.pem"
#define KUBELET_KUBECONFIG   KUBELET_CERTS "/kubeconfig"
#define SUBNET_ENV           "/run/flannel/subnet.env"
#define RUNTIME_FOLDER       "/run/kube-bootstrap" /* of this boot: state, files of services */

/* Decisions that only a person may make, set from flags of `run`. */
typedef struct BootOverrides {
        bool new_cluster;   /* volume and bucket disagree: begin a new cluster */
        bool new_keys;      /* new secrets over existing data */
        bool force_detach;  /* detach the volume from a holder that does not run */
        bool takeover;      /* take over the claim of a dead holder */
        bool format_volume; /* format though it is not proven new; nothing known is on it */
} BootOverrides;

/* Memory of steps that outlives a run of the table, in one process. Each member belongs to one
 * step. */
typedef struct BootMemory {
        /* volume-mount: the size to which the filesystem could not be grown */
        uint64_t refused_size;

        /* docker-bootstrap, docker: dockerd's database of networks was set aside */
        bool networks_set_aside[_DOCKERD_MAX];

        /* flanneld, flannel: the leases not matched after a restart, as a sum */
        uint64_t unmended_leases;

        /* kubelet-config: the kubelet binary whose version was checked */
        struct stat kubelet;
} BootMemory;

/* Facts that steps learn and share. The probe of the named step fills each part, and steps that
 * need this step read it. The engine orders the two, so nothing here is locked.
 *
 * A fact of EC2's that "is fresh" was asked for a moment ago for another purpose: the next look
 * uses it once (boot_take_fresh()), and any later look asks EC2. So no question is asked twice in a
 * row. An address that another step found elsewhere may be seconds old: nobody but this instance
 * brings it here. One that was found here is asked about again, because another master may take it.
 */
typedef struct Boot {
        BootOverrides overrides;
        BootMemory memory;

        /* config */
        StackConfig config;
        Images images;
        bool config_known;

        /* identity */
        Imds *imds;
        Credentials *credentials;
        AwsClient *aws;
        S3Bucket *bucket;
        ImdsIdentity identity;
        char node_name[NODE_NAME_MAX + 1]; /* EC2's private DNS name of the primary interface */
        char subnet_id[32];                /* the primary interface's */
        char vpc_id[32];                   /* likewise */
        char account[IMDS_ACCOUNT_MAX];

        /* identity, and each later look of source-dest-check */
        bool checked[IMDS_INTERFACES_MAX]; /* identity.interfaces[i] has the check on, in EC2 */
        bool checks_are_fresh;

        /* identity, and each later look of private-ip */
        bool has_fixed_address; /* EC2 has it on the primary interface */
        bool fixed_address_is_fresh;

        /* volume-attach */
        Blockdev volume;
        Ec2Volume ec2_volume; /* as EC2 described it last */
        bool ec2_volume_is_fresh;

        /* secrets, when it makes them; and each later look of elastic-ip */
        Ec2Address elastic_ip;
        bool elastic_ip_is_fresh;

        /* secrets */
        char generation[40];
        char cluster_id[40];

        /* roles: when the API server was first seen to be ready, after it was not; 0: it is not */
        time_t api_since;

        /* flanneld, flannel */
        struct in_addr overlay_address; /* 10.244.5.1 of 10.244.5.1/24 in subnet.env */
        unsigned overlay_prefix;
        unsigned overlay_mtu;
} Boot;

/* Forgets what steps learned, so that they learn it again. Keeps the overrides, the memory above,
 * and the clients of IMDS and AWS with what they hold: credentials, the pace that AWS asked for and
 * the clock's offset. */
void boot_reset(Boot *boot);
void boot_done(Boot *boot);
#define _cleanup_boot_ _cleanup_(boot_done)

/* Asks IMDS who this instance is. Makes the clients of IMDS and AWS that do not exist yet; existing
 * clients are kept, with what they have learned. */
int boot_open_aws(Boot *boot, const Wait *wait, Error *err);

/* Asks EC2 about this instance's interfaces, in one call, and notes which have the
 * source/destination check on. ret_primary may be NULL. */
int boot_look_at_interfaces(Boot *boot, const Wait *wait, Ec2Interface *ret_primary, Error *err);

/* Asks EC2 about the master's Elastic IP: boot->elastic_ip. */
int boot_look_at_elastic_ip(Boot *boot, const Wait *wait, Error *err);

/* Returns true if it was with this instance's own address when EC2 was asked last. */
bool boot_has_elastic_ip(const Boot *boot);

/* Returns true if the answer is still to be used, and marks it as used. */
static inline bool boot_take_fresh(bool *is_fresh)
{
        bool fresh = *is_fresh;
        *is_fresh = false;
        return fresh;
}

/* Returns the primary interface; NULL, and *err, where instance metadata names none. */
const ImdsInterface *boot_primary_interface(const Boot *boot, Error *err);

/* Returns the bit of this machine's kind, for the engine; 0 until config is known. */
unsigned boot_kind(void *boot);

/* Step functions, a file per step or close family. */
StepFunction config_probe, identity_probe;
StepFunction source_dest_check_probe, source_dest_check_apply;
StepFunction volume_attach_probe, volume_attach_apply;
StepFunction volume_format_probe, volume_format_apply;
StepFunction volume_mount_probe, volume_mount_apply;
StepFunction elastic_ip_probe, elastic_ip_apply;
StepFunction private_ip_probe, private_ip_apply;
StepFunction secrets_probe, secrets_apply;
StepFunction containerd_probe, containerd_apply;
StepFunction docker_bootstrap_probe, docker_bootstrap_apply;
StepFunction etcd_probe, etcd_apply;
StepFunction flannel_config_probe, flannel_config_apply;
StepFunction flanneld_probe, flanneld_apply;
StepFunction docker_probe, docker_apply;
StepFunction kubelet_config_probe, kubelet_config_apply;
StepFunction kubelet_certificate_probe, kubelet_certificate_apply;
StepFunction static_pods_probe, static_pods_apply;
StepFunction kubelet_probe, kubelet_apply;
StepFunction kubelet_join_probe, kubelet_join_apply;
StepFunction roles_probe, roles_apply;
StepFunction addons_probe, addons_apply;
StepFunction flannel_probe, flannel_apply;
StepFunction cni_probe, cni_apply;
StepFunction join_token_probe, join_token_apply;
StepFunction nodes_probe, nodes_apply;
StepFunction ready_probe;
