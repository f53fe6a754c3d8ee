/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <netinet/in.h>

/* What flannel keeps in etcd below /coreos.com/network/subnets: "10.244.5.0-24", and in it
 * {"PublicIP":"172.20.128.5","BackendType":"vxlan",...}.
 * https://github.com/flannel-io/flannel/blob/master/pkg/lease/lease.go */
typedef struct OverlayLease {
        struct in_addr network;
        unsigned prefix;
        char backend[16];
        char vtep_mac[18]; /* of the VXLAN device there, "" where the backend has none */
} OverlayLease;

/* The network and backend of flannel's configuration. Outside data: 1, or 0 if it is none. */
int overlay_config_parse(const char *text, char ret_network[20], char ret_backend[16]);

/* Outside data: 1, or 0 if it is none. flannel ignores such keys, too. */
int overlay_lease_parse(const char *name, const char *value, OverlayLease *ret);
