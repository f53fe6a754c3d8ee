/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "host/kube_api.h"
#include "steps/boot.h"

/* The way to the API server. */

/* A kubelet renews its Lease every 10 s, and its Node counts as lost after 40 s:
 * https://kubernetes.io/docs/concepts/architecture/nodes/#heartbeats */
#define NODE_LEASE_S 40

/* Writes the API server's URL as seen from this machine: https://ADDRESS:443. */
#define API_SERVER_MAX 32
void api_server(const Boot *boot, char ret[API_SERVER_MAX]);

/* Opens a client of the API server with the credentials that this machine's daemon may use: those
 * of kube-bootstrap on a master, kubelet's certificate on a node (-ENOENT, ERROR_RETRY, while there
 * is none). */
int api_open(const Boot *boot, KubeApi **ret, Error *err);

/* Replaces the object of that name in a collection ("/api/v1/namespaces/x/configmaps"), or makes
 * it. `body` is borrowed, and names no version: what another has changed meanwhile is replaced. */
int api_write(KubeApi *api, const char *collection, const char *name, const json_t *body,
              const Wait *wait, Error *err);

/* Gets this machine's own Node. Returns 1 (the caller frees *ret), or 0 if there is none (404),
 * after saying what the step waits for. */
int api_get_node(const Boot *boot, KubeApi *api, StepContext *context, json_t **ret, Error *err);
