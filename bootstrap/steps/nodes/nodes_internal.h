/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <time.h>

#include "aws/ec2.h"
#include "cluster/csr.h"
#include "steps/api.h"

/* The master's view of the cluster's Nodes and of the machines that ask to become one. */

/* The labels that tell tools a Node's role: a Node has those of its role, and no other. Kubernetes
 * before 1.24 calls a master "master", from 1.20 on "control-plane":
 * https://kubernetes.io/docs/reference/labels-annotations-taints/ */
typedef struct NodesLabel {
        const char *name;
        bool master;
} NodesLabel;

#define NODES_LABELS 3
extern const NodesLabel nodes_labels[NODES_LABELS];

typedef struct NodeSeen {
        char *name;
        char uid[40];
        char version[32]; /* resourceVersion */
        time_t heard;     /* when its Lease was renewed; without a Lease, when the Node was made */
        unsigned labels;  /* a bit for each of nodes_labels that it has */
        Ec2Instance instance; /* filled for a Node that is not live */
} NodeSeen;

typedef struct CsrSeen {
        Csr csr;
        json_t *object;
        bool asked; /* EC2, about the instance */
        Ec2Instance instance;
        char key[160]; /* the access key that its proof is by; "" for a renewal */
        CsrVerdict verdict;
        char reason[CSR_REASON_MAX];
} CsrSeen;

typedef struct NodesScene {
        time_t now;
        time_t aws_now;  /* aws_client_time() */
        NodeSeen *nodes; /* sorted by name */
        size_t n_nodes;
        CsrSeen *csrs; /* requests of kubelets that are not settled */
        size_t n_csrs;
        size_t n_listed, n_by_token; /* of all requests */
} NodesScene;

void nodes_scene_done(NodesScene *scene);
#define _cleanup_nodes_scene_ _cleanup_(nodes_scene_done)

/* Reads Nodes, Leases and requests, asks EC2 and STS where these do not decide, and judges the
 * requests. *ret must be zero or done. */
int nodes_look(const Boot *boot, StepContext *context, KubeApi *api, NodesScene *ret, Error *err);

/* Looks at the proof of a request for a first certificate, without a call: sets the verdict if the
 * proof cannot hold, else seen->key. */
void nodes_look_at_proof(const NodesScene *scene, CsrSeen *seen);

/* Decides the requests that csr_judge() grants if their proof holds. `first` is the index to begin
 * with. While STS does not answer, the requests wait. */
void nodes_prove(const Boot *boot, StepContext *context, NodesScene *scene, size_t first);

/* Settles requests, and deletes and labels Nodes, as the scene requires. An object that has changed
 * since it was looked at is left for the next look. What fails keeps nothing else away; the first
 * error is returned. */
int nodes_work(const Boot *boot, StepContext *context, KubeApi *api, const NodesScene *scene,
               Error *err);

/* Returns true if nodes_work() would do anything. */
bool nodes_have_work(const Boot *boot, const NodesScene *scene);

/* Returns the Node of that name, or NULL. */
const NodeSeen *nodes_find(const NodesScene *scene, const char *name);

bool nodes_is_live(const NodesScene *scene, const NodeSeen *node); /* node may be NULL */

/* Returns true if the Node's instance no longer exists and nobody else would delete the Node. */
bool nodes_is_gone(const Boot *boot, const NodesScene *scene, const NodeSeen *node);

/* Returns true if the Node is live and lacks a label of its role, or has another role's. */
bool nodes_wants_label(const Boot *boot, const NodesScene *scene, const NodeSeen *node);
