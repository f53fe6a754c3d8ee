/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "host/kube_api.h"
#include "steps/boot.h"

/* The way to the API server. */

/* A kubelet renews its Lease every 10 s, and its Node counts as lost after 40 s:
 * https://kubernetes.io/docs/concepts/architecture/nodes/#heartbeats */
#define NODE_LEASE_S 40

/* Writes the address at which this machine finds it: https://ADDRESS:443. */
#define API_SERVER_MAX 32
void api_server(const Boot *boot, char ret[API_SERVER_MAX]);

/* Opens it as this machine's daemon may ask it: the master as kube-bootstrap, a node with its
 * kubelet's certificate (-ENOENT, ERROR_RETRY, while it has none). */
int api_open(const Boot *boot, KubeApi **ret, Error *err);

/* Gets this machine's own Node: 1, caller frees; 0 if there is none (404), and says what it waits
 * for. */
int api_get_node(const Boot *boot, KubeApi *api, StepContext *context, json_t **ret, Error *err);
