/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/secret.h"
#include "cluster/join.h"
#include "steps/boot.h"

/* How a kubelet gets its certificate: it asks with a bootstrap token, and the master approves.
 *
 * There are two kinds of token. The master's own token is in SECRETS_DIR only, and no other token
 * can ask for a master's certificate. The nodes' token is in the bucket, PREFIX/node/join.json. */

#define JOIN_FILE            SECRETS_DIR "/join.json"
#define JOIN_OBJECT          "node/join.json" /* below S3_PREFIX */
#define BOOTSTRAP_KUBECONFIG SECRETS_DIR "/bootstrap.kubeconfig"

/* A copy of the authority's certificate, so that kubelet's folder has all that its kubeconfig
 * names. */
#define KUBELET_AUTHORITY KUBELET_CERTS "/ca.crt"

/* The files that kubelet-config writes and kubelet reads. */
#define KUBELET_CONFIG      RUNTIME_FOLDER "/kubelet.json"
#define KUBELET_ENVIRONMENT RUNTIME_FOLDER "/kubelet.env"

/* Returns 1 if kubelet can go on with what it has, else 0. It needs a client certificate that is
 * valid for a while, or a token in JOIN_FILE that is alive and, on a node, has not been tried for
 * too long. To be called again while kubelet has no certificate. A kubelet that was started with an
 * older token must be restarted to read another one. */
int join_local_probe(const Boot *boot, Error *err);

/* Returns 1 and for how many seconds the token of JOIN_FILE may still be tried; 0 if there is none,
 * or its time is over. */
int join_local_left(const Boot *boot, time_t *ret_s, Error *err);

/* Returns 1 if kubelet has a client certificate that is valid now, else 0. */
int join_has_certificate(Error *err);

/* master: makes JOIN_FILE if there is none, or less than half of its life is left. */
int join_ensure_local(Boot *boot, StepContext *context, Error *err);

/* node: fetches JOIN_FILE, waiting until the master has left one that is not expired. */
int join_fetch(Boot *boot, StepContext *context, Error *err);

/* Appends the file for kubelet's --bootstrap-kubeconfig, with JOIN_FILE's token, to *ret. -ENOENT
 * if JOIN_FILE has no token. */
int join_render_bootstrap_kubeconfig(const Boot *boot, Secret *ret, Error *err);

/* Read the token of JOIN_FILE, or of JOIN_OBJECT. Return 1, or 0 if there is no token or it cannot
 * be parsed. */
int join_local_token(JoinToken *ret, Error *err);
int join_get_object(const Boot *boot, StepContext *context, JoinToken *ret, Error *err);
