/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/error.h"

/* Reads a kubelet's request for a client certificate, and decides whether to grant it.
 * https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
 * https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
 *
 * Every holder of a bootstrap token may ask, and a token does not prove which machine asks. So the
 * decision follows from the requested name, and from what EC2 says about the instance that has this
 * name. Pure. */

#define CSR_SIGNER_KUBELET "kubernetes.io/kube-apiserver-client-kubelet"

/* Groups of the users that bootstrap tokens stand for. A token of the second group stays on the
 * master, which uses it to ask for its own certificate. */
#define CSR_GROUP_NODE   "system:bootstrappers:kube-bootstrap"
#define CSR_GROUP_MASTER "system:bootstrappers:kube-bootstrap:master"

#define CSR_NAME_MAX 254 /* a DNS name (RFC 1123), with the terminator */

typedef struct Csr {
        char name[CSR_NAME_MAX];      /* of the object */
        char node_name[CSR_NAME_MAX]; /* the Node that it is for; "" if that is not clear */
        char user[CSR_NAME_MAX + 16]; /* the user who asks, as the API server names it */
        bool of_kubelet;              /* for CSR_SIGNER_KUBELET, and named as kubelet names it */
        bool settled;                 /* approved, denied or failed already */
        bool renewal;                 /* the Node itself asks; else a token's holder */
        bool with_master_token;
        time_t created;
        char flaw[160]; /* why it can never be granted; "" if nothing is wrong */
} Csr;

/* Reads a CertificateSigningRequest (certificates.k8s.io/v1). If the request inside it is bad, the
 * result is still a Csr, with a flaw. An object that the API server would not send is ERROR_RETRY
 * (-EBADMSG). */
int csr_read(const json_t *object, Csr *ret, Error *err);

typedef enum CsrVerdict {
        CSR_WAIT, /* what is missing may still appear */
        CSR_APPROVE,
        CSR_DENY,
        _CSR_VERDICT_MAX,
        _CSR_VERDICT_INVALID = -EINVAL,
} CsrVerdict;

const char *csr_verdict_to_string(CsrVerdict verdict);

/* The facts about the requested name. */
typedef struct CsrFacts {
        time_t now;
        bool node_is_live;       /* a Node of this name exists, and its kubelet renews its Lease */
        const char *instance_id; /* of this cluster, by EC2; "" if there is none */
        const char *instance_state; /* as EC2 names it */
        const char *instance_role;  /* its tag: "master", "node" or another */
} CsrFacts;

/* How long a request waits for facts that may still change. EC2 shows a new instance a little later
 * than it runs. A machine that has just restarted has lost its certificate, while its Node is live
 * until the Lease expires. */
#define CSR_PATIENCE_S 300

/* Returns true if the verdict depends on the instance. If not, the instance's facts may be
 * empty. */
bool csr_needs_instance(const Csr *csr, bool node_is_live);

#define CSR_REASON_MAX 256

/* Returns the verdict, and writes the reason, for people; CSR_REASON_MAX bytes are enough for it.
 * Must not be called for settled requests or other signers. */
CsrVerdict csr_judge(const Csr *csr, const CsrFacts *facts, char *ret_reason, size_t size);
