/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <time.h>

#include "cluster/join.h"
#include "steps/boot.h"

/* The certificate with which a kubelet is a Node. A master has the authority's key and issues its
 * own. A node asks the master for it, and shows a join token, which lies in the bucket at
 * JOIN_OBJECT and never on the node. kubelet renews its certificate by itself. */

#define JOIN_OBJECT "node/join.json" /* below S3_PREFIX */

/* A copy of the authority's certificate, so that kubelet's folder has all that its kubeconfig
 * names. */
#define KUBELET_AUTHORITY KUBELET_CERTS "/ca.crt"

/* The files that kubelet-config writes and kubelet reads. */
#define KUBELET_CONFIG      RUNTIME_FOLDER "/kubelet.json"
#define KUBELET_ENVIRONMENT RUNTIME_FOLDER "/kubelet.env"

/* Returns 1 if kubelet has a client certificate of this machine's Node, by the cluster's authority,
 * that is valid now; else 0, after saying with step_not_yet() what it has. */
int join_has_certificate(const Boot *boot, StepContext *context, Error *err);

/* Returns 1 if kubelet was started, at `since`, after this machine had the certificate that it got
 * first; else 0. kubelet renews that certificate, and uses the new ones without a restart. */
int join_began_with_certificate(const struct timespec *since, Error *err);

/* Sets that certificate's time to now if it is in the future (file_clamp_time()). */
int join_clamp_certificate(Error *err);

/* Puts a certificate and its key, in PEM, where kubelet finds them, in place of all that it has. */
int join_install(const Secret *pem, Error *err);

/* node: asks the master for a certificate, and waits for it. Sets *ret, which must be empty, to the
 * certificate and its key in PEM. */
int join_ask(Boot *boot, StepContext *context, Secret *ret, Error *err);

/* master: issues a certificate for this machine's own kubelet. Appends certificate and key in PEM
 * to *ret. */
int join_issue(const Boot *boot, Secret *ret, Error *err);

/* Reads the token of JOIN_OBJECT. Returns 1, or 0 if there is no token or it cannot be parsed. */
int join_get_object(const Boot *boot, StepContext *context, JoinToken *ret, Error *err);
