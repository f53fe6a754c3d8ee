/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <time.h>

#include "aws/ec2.h"
#include "cluster/csr.h"
#include "steps/api.h"

/* What the master sees of the cluster's Nodes and of those who want to be one. */

typedef struct NodeSeen {
        char *name;
        char uid[40];
        char version[32]; /* resourceVersion */
        time_t heard;     /* when its Lease was renewed; without one, when it was made */
        bool labelled_master, labelled_node;
        Ec2Instance instance; /* looked up of one that is not live */
} NodeSeen;

typedef struct CsrSeen {
        Csr csr;
        json_t *object;
        Ec2Instance instance;
        CsrVerdict verdict;
        char reason[CSR_REASON_MAX];
} CsrSeen;

typedef struct NodesScene {
        time_t now;
        NodeSeen *nodes; /* sorted by name */
        size_t n_nodes;
        CsrSeen *csrs; /* kubelets' that are not settled */
        size_t n_csrs;
} NodesScene;

void nodes_scene_done(NodesScene *scene);
#define _cleanup_nodes_scene_ _cleanup_(nodes_scene_done)

/* Looks, asks EC2 about what is not plain without it, and judges. *ret must be zero or done. */
int nodes_look(const Boot *boot, StepContext *context, KubeApi *api, NodesScene *ret, Error *err);

/* Does what follows from it: requests settled, Nodes deleted and labelled. What has changed since
 * it was looked at is left for the next look. */
int nodes_work(const Boot *boot, StepContext *context, KubeApi *api, const NodesScene *scene,
               Error *err);

/* Whether nodes_work() would do anything. */
bool nodes_have_work(const Boot *boot, const NodesScene *scene);

/* The Node of that name, or NULL. */
const NodeSeen *nodes_find(const NodesScene *scene, const char *name);

bool nodes_is_live(const NodesScene *scene, const NodeSeen *node); /* node may be NULL */

/* Whether its machine is gone for good, and nobody else would delete it. */
bool nodes_is_gone(const Boot *boot, const NodesScene *scene, const NodeSeen *node);

/* Whether it lacks the label of its role, or has another's. */
bool nodes_wants_label(const Boot *boot, const NodesScene *scene, const NodeSeen *node);
