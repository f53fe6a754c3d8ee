/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/error.h"

/* What a kubelet's request for a client certificate says, and whether it is to be granted.
 * https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
 * https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
 *
 * Whoever holds a bootstrap token may ask, and a token is no proof of being any one machine. So the
 * name asked for decides, and what EC2 says of the instance that has it. Pure. */

#define CSR_SIGNER_KUBELET "kubernetes.io/kube-apiserver-client-kubelet"

/* Groups of the users that bootstrap tokens stand for. With a token of the second one, which stays
 * on the master, the master asks for its own certificate. */
#define CSR_GROUP_NODE   "system:bootstrappers:kube-bootstrap"
#define CSR_GROUP_MASTER "system:bootstrappers:kube-bootstrap:master"

#define CSR_NAME_MAX 254 /* a DNS name (RFC 1123), with the terminator */

typedef struct Csr {
        char name[CSR_NAME_MAX];      /* of the object */
        char node_name[CSR_NAME_MAX]; /* whose certificate is asked for; "" if that is not clear */
        char user[CSR_NAME_MAX + 16]; /* who asks, as the API server knows him */
        bool of_kubelet;              /* for the signer of kubelets' client certificates, and with a
                                         name as kubelet gives it */
        bool settled;                 /* approved, denied or failed already */
        bool renewal;                 /* by the Node itself; else by a token */
        bool with_master_token;
        time_t created;
        char flaw[160]; /* why it can never be granted, whoever asks; "" if nothing is wrong */
} Csr;

/* Reads a CertificateSigningRequest (certificates.k8s.io/v1). Whatever the request within is, the
 * answer is a Csr; an object that the API server would not send is ERROR_RETRY (-EBADMSG). */
int csr_read(const json_t *object, Csr *ret, Error *err);

typedef enum CsrVerdict {
        CSR_WAIT, /* for what is not so yet */
        CSR_APPROVE,
        CSR_DENY,
        _CSR_VERDICT_MAX,
        _CSR_VERDICT_INVALID = -EINVAL,
} CsrVerdict;

const char *csr_verdict_to_string(CsrVerdict verdict);

/* What is known of the name that is asked for. */
typedef struct CsrFacts {
        time_t now;
        bool node_is_live;       /* a Node of this name exists, and its kubelet renews its Lease */
        const char *instance_id; /* of this cluster, by EC2; "" if there is none */
        const char *instance_state; /* as EC2 names it */
        const char *instance_role;  /* its tag: "master", "node" or another */
} CsrFacts;

/* How long a request waits for what may still come: EC2 shows a new instance a little later than
 * it runs, and a machine that has just been started anew has lost its certificate, while its Node
 * is live until the Lease is over. */
#define CSR_PATIENCE_S 300

/* Whether the verdict depends on the instance: else its facts may be empty. */
bool csr_needs_instance(const Csr *csr, bool node_is_live);

#define CSR_REASON_MAX 256

/* The verdict, and why, for people: CSR_REASON_MAX bytes hold it. Of a settled one, or one for
 * another signer, it is not to be asked. */
CsrVerdict csr_judge(const Csr *csr, const CsrFacts *facts, char *ret_reason, size_t size);
