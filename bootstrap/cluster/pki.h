/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "base/container_runtime.h"
#include "base/error.h"
#include "base/network.h"
#include "base/secret.h"
#include "base/string.h"
#include "cluster/artifacts.h"

/* THE table of a cluster's secrets, and the functions that make them. The table decides who may do
 * what:
 *
 * - There are three authorities, so that a certificate of one does not count for another:
 *   flanneld's certificate on a node opens no API server, and a front proxy's opens no kubelet. The
 *   authorities' keys are below master/ alone.
 * - There is one administrator (group system:masters). kube-bootstrap on the master has a name of
 *   its own in that group, so that an audit log tells the two apart. Nobody else is in the group.
 * - The API server calls kubelets as kube-apiserver-kubelet-client, in no group. kubelet asks the
 *   API server what that user may do, and a ClusterRoleBinding to system:kubelet-api-admin is
 *   enough.
 *   https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
 * - etcd identifies a client by the common name of its certificate. etcd's server certificate has
 *   an empty common name and both usages, because etcd's JSON gateway presents it as a client to
 *   etcd itself.
 *   https://etcd.io/docs/v3.4/op-guide/authentication/
 *   The gateway identifies a client by user and password. One password is for root, one is for a
 *   user that may read the overlay's leases.
 * - With containerd, etcd is for the API server alone, and listens on the loopback: nodes have
 *   nothing of etcd's. flanneld and kube-proxy ask the API server, as the machine's own kubelet, so
 *   nodes share no credential but the join token.
 *
 * Names and usages: https://kubernetes.io/docs/setup/best-practices/certificates/ */

typedef enum PkiKind {
        PKI_AUTHORITY,  /* NAME.crt, and NAME.key below master/ */
        PKI_LEAF,       /* NAME.crt, NAME.key */
        PKI_KEY_PAIR,   /* NAME.pub, NAME.key */
        PKI_KUBECONFIG, /* NAME, with a client certificate embedded */
        PKI_PASSWORD,   /* NAME: 256 random bits, hexadecimal, without a newline */
        PKI_ENCRYPTION, /* NAME: EncryptionConfiguration of the API server */
        _PKI_KIND_MAX,
        _PKI_KIND_INVALID = -EINVAL,
} PkiKind;

typedef enum PkiNames {
        PKI_NAMES_NONE,
        PKI_NAMES_API,  /* every name and address that the API server is called by */
        PKI_NAMES_ETCD, /* the master's private address, and loopback */
        _PKI_NAMES_MAX,
        _PKI_NAMES_INVALID = -EINVAL,
} PkiNames;

typedef struct PkiArtifact {
        const char *name; /* file name, without .crt, .key, .pub */
        PkiKind kind;
        const char *signer; /* name of an authority that stands before it in the table */
        const char *common_name;
        const char *organization;
        unsigned usage; /* CertificateUsage */
        PkiNames names;
        unsigned folders[_RUNTIME_MAX]; /* by container runtime: mask of 1 << ArtifactsFolder, 0:
                                           not made */
} PkiArtifact;

extern const PkiArtifact pki_artifacts[];
extern const size_t pki_n_artifacts;

/* The facts that names and addresses are made of. */
typedef struct PkiFacts {
        const char *cluster_name;
        const char *public_ip;   /* the Elastic IP */
        const char *private_ip;  /* the master's fixed one */
        Network service_network; /* the API server's service has its first address */
        const char *cluster_domain;
        const char *api_dns_name; /* "" if none */
        ContainerRuntime runtime;
        time_t now;
} PkiFacts;

#define PKI_AUTHORITY_DAYS 3650
#define PKI_LEAF_DAYS      365

typedef struct PkiFile {
        ArtifactsFolder folder;
        char name[64];
        mode_t mode; /* 0644 for what is public, else 0600 */
        Secret content;
} PkiFile;

#define PKI_FILES_MAX 64

typedef struct PkiFiles {
        PkiFile files[PKI_FILES_MAX];
        size_t n;
        char ca_sha256[65]; /* fingerprint of the Kubernetes CA */
} PkiFiles;

void pki_files_done(PkiFiles *files); /* wipes */
#define _cleanup_pki_files_ _cleanup_(pki_files_done)

/* Makes new files for the whole table. */
int pki_make(const PkiFacts *facts, PkiFiles *ret, Error *err);

/* Writes the first address of the service network, which Kubernetes gives to the service
 * "kubernetes":
 * https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/ */
void pki_service_address(Network services, char ret[INET_ADDRSTRLEN]);

/* Appends the alternative names, in the form of certificate.h. */
int pki_names(PkiNames names, const PkiFacts *facts, StringList *ret, Error *err);
