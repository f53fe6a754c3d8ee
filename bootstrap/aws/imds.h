/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/network.h"
#include "base/string.h"
#include "base/wait.h"

/* The instance metadata service, version 2 only: a session token for every read.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html */

typedef struct Imds Imds;

/* Makes a client of IMDS. If endpoint is NULL, AWS_EC2_METADATA_SERVICE_ENDPOINT is used. If that
 * is not set, http://169.254.169.254 is used, and http://[fd00:ec2::254] if the first does not
 * answer. Makes no request. Thread-safe afterwards. */
int imds_new(const char *endpoint, Imds **ret, Error *err);
/* Makes a client as imds_new() does, for up to two addresses. They are tried in turn until one
 * answers; the client stays with that one. */
int imds_new_at(const char *const *endpoints, size_t n, Imds **ret, Error *err);
void imds_free(Imds *imds);

/* Reads one value below the pinned version, e.g. "meta-data/instance-id", and appends it to *ret.
 * Returns 1, or 0 if the service says 404 (absence is an answer). A session token is fetched (TTL
 * 21600 s), and renewed on 401. A refused connection or an unreachable service is retried until the
 * wait is over. A reply that is not 200, or is HTML, is an error that shows its beginning. A reply
 * larger than 64 KiB is an error too. Never uses a proxy, and follows no redirects. */
int imds_get(Imds *imds, const char *path, const Wait *wait, Buffer *ret, Error *err);

/* Reads a value as imds_get() does, but it must exist and fit: text of printable ASCII without
 * white space, at most size - 1 characters. A missing value is ERROR_RETRY, and the message names
 * its path. */
int imds_get_word(Imds *imds, const char *path, const Wait *wait, char *ret, size_t size,
                  Error *err);

/* Instance types with 32 network cards have 64 interfaces.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AvailableIpPerENI.html */
#define IMDS_INTERFACES_MAX 128

typedef struct ImdsInterface {
        char mac[18];
        char eni_id[32];
} ImdsInterface;

typedef struct ImdsIdentity {
        char instance_id[32];
        char zone[32];
        char region[32];
        char partition[16]; /* aws, aws-cn, aws-us-gov: services/partition */
        char domain[32];    /* amazonaws.com, amazonaws.com.cn: services/domain */
        char local_ip[16];  /* the primary interface's first address */
        char iam_role[72];  /* "" if the instance has none */
        char role_tag[64];  /* tags/instance/KubernetesRole, "" where tags are not enabled or set */
        /* The first one is the primary interface, which meta-data/mac names. The device number does
         * not identify it: each network card has a device 0. */
        ImdsInterface interfaces[IMDS_INTERFACES_MAX];
        size_t n_interfaces;
        char subnet_cidr[20]; /* of the primary interface */
} ImdsIdentity;

/* Reads the whole identity and checks its syntax. An instance without an IPv4 address is
 * ERROR_CONFIG (-EAFNOSUPPORT). The host name is left out: the DHCP option set decides it, and EC2
 * uses another name for the machine. */
int imds_identity(Imds *imds, const Wait *wait, ImdsIdentity *ret, Error *err);

/* A VPC has at most 50: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html */
#define IMDS_VPC_NETWORKS_MAX 64

/* Reads the IPv4 networks of the VPC of the interface with this MAC address. *ret_n is 0 if IMDS
 * has none. */
int imds_vpc_networks(Imds *imds, const char *mac, const Wait *wait,
                      Network ret[IMDS_VPC_NETWORKS_MAX], size_t *ret_n, Error *err);

#define IMDS_ACCOUNT_MAX 13 /* twelve digits */

/* Reads the account that this instance belongs to, from its identity document. */
int imds_account(Imds *imds, const Wait *wait, char ret[IMDS_ACCOUNT_MAX], Error *err);
