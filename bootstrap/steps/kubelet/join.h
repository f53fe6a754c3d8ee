/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/secret.h"
#include "cluster/join.h"
#include "steps/boot.h"

/* How a kubelet gets its certificate: it asks with a bootstrap token, and the master approves.
 *
 * There are two kinds of token. The master's own lies in SECRETS_DIR alone and only with it may a
 * certificate for a master be asked for; the nodes' is in the bucket, PREFIX/node/join.json. */

#define JOIN_FILE            SECRETS_DIR "/join.json"
#define JOIN_OBJECT          "node/join.json" /* below S3_PREFIX */
#define BOOTSTRAP_KUBECONFIG SECRETS_DIR "/bootstrap.kubeconfig"

/* The files that kubelet-config writes and kubelet reads. */
#define KUBELET_CONFIG      RUNTIME_FOLDER "/kubelet.json"
#define KUBELET_ENVIRONMENT RUNTIME_FOLDER "/kubelet.env"

/* Whether kubelet can go on as things are: it has a client certificate that is valid for a while,
 * or JOIN_FILE holds a token that lives, and on a node has not been tried for long: 1 or 0. To be
 * looked at again while kubelet has none; a kubelet that was started with an older token must be
 * restarted to read another. */
int join_local_probe(const Boot *boot, Error *err);

/* Whether kubelet has a client certificate that is valid now: 1 or 0. */
int join_has_certificate(Error *err);

/* master: makes JOIN_FILE if there is none, or less than half of its life is left. */
int join_ensure_local(Boot *boot, StepContext *context, Error *err);

/* node: fetches JOIN_FILE, waiting until the master has left one that is not expired. */
int join_fetch(Boot *boot, StepContext *context, Error *err);

/* kubelet's --bootstrap-kubeconfig, of JOIN_FILE's token, appended to *ret. -ENOENT if there is no
 * JOIN_FILE. */
int join_render_bootstrap_kubeconfig(const Boot *boot, Secret *ret, Error *err);

/* The token of JOIN_FILE, or of JOIN_OBJECT: 1; 0 if there is none, or one that cannot be read. */
int join_local_token(JoinToken *ret, Error *err);
int join_get_object(const Boot *boot, StepContext *context, JoinToken *ret, Error *err);
