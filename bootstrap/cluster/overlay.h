/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <netinet/in.h>

/* One machine's lease of a part of the overlay. flannel keeps it either in etcd, below
 * /coreos.com/network/subnets with the key "10.244.5.0-24" and the value
 * {"PublicIP":"172.20.128.5","BackendType":"vxlan",...}, or in the machine's Node.
 * https://github.com/flannel-io/flannel/blob/master/pkg/lease/lease.go */
typedef struct OverlayLease {
        struct in_addr network;
        unsigned prefix;
        char backend[16];
        char vtep_mac[18]; /* of the VXLAN device there, "" where the backend has none */
} OverlayLease;

/* Reads network and backend of flannel's configuration, which is outside data. Returns 1, or 0 if
 * the text is no such configuration. */
int overlay_config_parse(const char *text, char ret_network[20], char ret_backend[16]);

/* Reads a lease, which is outside data. Returns 1, or 0 if it is none; flannel ignores such keys,
 * too. */
int overlay_lease_parse(const char *name, const char *value, OverlayLease *ret);

/* Reads the lease of a Node: spec.podCIDR, and the annotations that flanneld leaves there once it
 * runs. Returns 1, or 0 if the Node has none (yet).
 * https://github.com/flannel-io/flannel/blob/v0.28.10/pkg/subnet/kube/kube.go (nodeToLease()) */
int overlay_lease_of_node(const json_t *node, OverlayLease *ret);
