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

/* endpoint NULL: AWS_EC2_METADATA_SERVICE_ENDPOINT, else http://169.254.169.254 and, when nobody is
 * there, http://[fd00:ec2::254]. Makes no request. Thread-safe afterwards. */
int imds_new(const char *endpoint, Imds **ret, Error *err);
/* As imds_new() at up to two addresses, tried in turn until one answers, which is kept. */
int imds_new_at(const char *const *endpoints, size_t n, Imds **ret, Error *err);
void imds_free(Imds *imds);

/* One value below the pinned version, e.g. "meta-data/instance-id", appended to *ret: 1; 0 if the
 * service says 404 (absence is an answer). A token is fetched (TTL 21600 s), renewed on 401;
 * refused or unreachable is retried until the wait is over; a reply that is not 2xx, or is HTML, or
 * larger than 64 KiB, is an error that shows its beginning. Never through a proxy, no redirects. */
int imds_get(Imds *imds, const char *path, const Wait *wait, Buffer *ret, Error *err);

/* As imds_get() for a value that must be there and fit: text of printable ASCII without white
 * space, at most size - 1 characters. Absent: ERROR_RETRY naming the path. */
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
        /* The primary interface is the first: the one that meta-data/mac names. Device number 0 is
         * there once on each network card, so it names none. */
        ImdsInterface interfaces[IMDS_INTERFACES_MAX];
        size_t n_interfaces;
        char subnet_cidr[20]; /* of the primary interface */
} ImdsIdentity;

/* All of it, checked by syntax. An instance without an IPv4 address is ERROR_CONFIG
 * (-EAFNOSUPPORT). The host name is left out: DHCP's option set decides it, and EC2 calls the
 * machine by another. */
int imds_identity(Imds *imds, const Wait *wait, ImdsIdentity *ret, Error *err);

/* A VPC has at most 50: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html */
#define IMDS_VPC_NETWORKS_MAX 64

/* The IPv4 networks of the VPC that the interface with this MAC address is in; none where IMDS has
 * none. */
int imds_vpc_networks(Imds *imds, const char *mac, const Wait *wait,
                      Network ret[IMDS_VPC_NETWORKS_MAX], size_t *ret_n, Error *err);

#define IMDS_ACCOUNT_MAX 13 /* twelve digits */

/* The account that this instance belongs to, from its identity document. */
int imds_account(Imds *imds, const Wait *wait, char ret[IMDS_ACCOUNT_MAX], Error *err);
