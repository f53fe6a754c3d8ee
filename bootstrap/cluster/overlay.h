/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <netinet/in.h>

/* A lease that flannel keeps in etcd below /coreos.com/network/subnets, with the key
 * "10.244.5.0-24" and the value {"PublicIP":"172.20.128.5","BackendType":"vxlan",...}.
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
