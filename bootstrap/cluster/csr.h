/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/error.h"
#include "base/string.h"

/* Makes and reads a kubelet's request for a client certificate, and decides whether to grant it.
 * https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
 * https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
 *
 * Every holder of a join token may ask, and the token does not tell which machine asks. So a
 * request carries a proof (aws/sts.h) of the instance that made it, in an annotation. It is granted
 * if that is the instance to which EC2 gave the requested name. A renewal needs no proof: the
 * Node's own certificate asks. Pure: the caller asks AWS. */

#define CSR_SIGNER_KUBELET "kubernetes.io/kube-apiserver-client-kubelet"

#define CSR_ANNOTATION_PROOF "kube-bootstrap/proof"

/* The group of the users that join tokens stand for. */
#define CSR_GROUP_NODE "system:bootstrappers:kube-bootstrap"

#define CSR_NAME_MAX 254 /* a DNS name (RFC 1123), with the terminator */

typedef struct Csr {
        char name[CSR_NAME_MAX];      /* of the object, for messages: cut where it is longer */
        char node_name[CSR_NAME_MAX]; /* the Node that it is for; "" if that is not clear */
        char user[CSR_NAME_MAX + 16]; /* the user who asks, as the API server names it */
        bool of_kubelet;              /* for CSR_SIGNER_KUBELET */
        bool settled;                 /* approved, denied or failed already */
        bool denied;                  /* settled, and so */
        bool renewal;                 /* the Node itself asks; else a token's holder */
        time_t created;
        char sha256[65]; /* of the request in PEM, for which its proof is */
        char flaw[160];  /* why it can never be granted; "" if nothing is wrong */
} Csr;

/* Reads a CertificateSigningRequest (certificates.k8s.io/v1). Whatever is wrong with it, the result
 * is a Csr, with a flaw or not of_kubelet: one that somebody has made to be unreadable must not
 * hide the others. Fails only where memory is short. */
int csr_read(const json_t *object, Csr *ret, Error *err);

typedef enum CsrVerdict {
        CSR_WAIT,  /* what is missing may still appear */
        CSR_PROVE, /* to be granted if its proof is of the instance */
        CSR_APPROVE,
        CSR_DENY,
        CSR_DELETE, /* without an answer */
        _CSR_VERDICT_MAX,
        _CSR_VERDICT_INVALID = -EINVAL,
} CsrVerdict;

const char *csr_verdict_to_string(CsrVerdict verdict);

/* The facts about the requested name. */
typedef struct CsrFacts {
        time_t now;
        const char *instance_id;    /* of this cluster, by EC2; "" if there is none */
        const char *instance_state; /* as EC2 names it */
        const char *instance_role;  /* its tag: "master", "node" or another */
} CsrFacts;

/* How long a request waits for facts that may still change: EC2 shows a new instance a little later
 * than it runs. */
#define CSR_PATIENCE_S 300

/* Returns the object that asks for a kubelet's certificate, or NULL when out of memory. pem is the
 * request itself (certificate_request_to_pem()), and proof a text. */
json_t *csr_new(const char *name, const Buffer *pem, const Buffer *proof);

/* Returns the object's proof, or NULL if it has none. The text is part of the object. */
const char *csr_proof(const json_t *object);

/* Reads the answer to a request. Returns 1 and the certificate in PEM, appended to *ret; 0 while
 * there is none. A request that was denied, or that the API server could not sign, is ERROR_RETRY
 * (-EACCES), and the message has the reason. */
int csr_read_answer(const json_t *object, Buffer *ret, Error *err);

#define CSR_REASON_MAX 256

/* Returns the verdict, and writes the reason, for people; CSR_REASON_MAX bytes are enough for it.
 * The instance's facts may be empty if the request has a flaw. Must not be called for settled
 * requests or other signers. */
CsrVerdict csr_judge(const Csr *csr, const CsrFacts *facts, char *ret_reason, size_t size);
