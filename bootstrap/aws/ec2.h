/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "aws/client.h"
#include "base/error.h"
#include "base/wait.h"

/* The EC2 Query API, version 2016-11-15, as far as a boot needs it. Each function is one call (and
 * its retries); its name is the IAM action's.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Welcome.html */

typedef struct Ec2Volume {
        char state[24]; /* available, in-use, creating, deleting, error … */
        char zone[32];
        unsigned size_gib;
        bool multi_attach;
        bool encrypted;
        char snapshot_id[32]; /* its source, "" if none */
        char stack_id[257];   /* its tag EC2_TAG_STACK_ID, "" if it has none */
        bool attached;        /* the attachment below is filled */
        struct {
                char instance_id[32];
                char device[32];
                char state[24]; /* attaching, attached, detaching, busy */
                char since[32]; /* attachTime, RFC 3339 */
        } attachment;
} Ec2Volume;

/* The id of the stack that made the volume. CloudFormation sets the tag; nobody else can, as EC2
 * reserves names that begin with "aws:".
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html
 */
#define EC2_TAG_STACK_ID "aws:cloudformation:stack-id"

/* InvalidVolume.NotFound is ERROR_CONFIG, after the grace period that the client grants
 * (ERROR_RETRY). */
int ec2_describe_volume(AwsClient *client, const char *volume_id, const Wait *wait, Ec2Volume *ret,
                        Error *err);
/* The error classes are those of errors_classify(); VolumeInUse, IncorrectState and
 * IncorrectInstanceState are ERROR_RETRY. */
int ec2_attach_volume(AwsClient *client, const char *volume_id, const char *instance_id,
                      const char *device, const Wait *wait, Error *err);
int ec2_detach_volume(AwsClient *client, const char *volume_id, const char *instance_id, bool force,
                      const Wait *wait, Error *err);

/* Reads the state ("running", …) of an instance. Returns 1, or 0 if EC2 does not know the
 * instance. */
int ec2_describe_instance_state(AwsClient *client, const char *instance_id, const Wait *wait,
                                char ret[24], Error *err);

/* One call takes at most EC2_NAMES_MAX names: an instance with 32 network cards fills 80 KB of a
 * reply, and the size of replies is limited. */
#define EC2_NAMES_MAX   50
#define EC2_TAG_CLUSTER "KubernetesCluster"
#define EC2_TAG_ROLE    "KubernetesRole"

typedef struct Ec2Instance {
        char instance_id[32]; /* "": EC2 knows none */
        char state[24];       /* pending, running, shutting-down, terminated, stopping, stopped */
        char role[16];        /* its tag KubernetesRole; "" if none, or too long to be ours */
        bool other_domain;    /* EC2 has this host's name only under another domain */
} Ec2Instance;

/* Finds, in one call, the instances in the VPC that have the tag KubernetesCluster=CLUSTER and
 * whose primary interface has one of these private DNS names: ret[i] for names[i] (at most
 * EC2_NAMES_MAX). The interface's name counts because EC2 sets it; an instance's own private DNS
 * name may follow the VPC's DHCP options. Names are compared without regard to case. EC2 reuses an
 * address when its instance has ended, so among several instances with one name the running one
 * counts. */
int ec2_find_instances_by_name(AwsClient *client, const char *cluster, const char *vpc_id,
                               const char *const *names, size_t n, const Wait *wait,
                               Ec2Instance *ret, Error *err);

#define EC2_INTERFACES_MAX 128
#define EC2_ADDRESSES_MAX  64

typedef struct Ec2Interface {
        char eni_id[32];
        char subnet_id[32];
        char vpc_id[32];
        char mac[18];
        char private_dns_name[256]; /* "" where the VPC's DNS host names are switched off */
        bool source_dest_check;     /* also false if the interface has none (EFA-only) */
        char instance_id[32];       /* of its attachment, "" if none */
        char primary_ip[16];
        size_t n_addresses; /* all private ones, the primary too */
        char addresses[EC2_ADDRESSES_MAX][16];
} Ec2Interface;

/* Returns true if this is one of the interface's addresses. */
bool ec2_interface_has(const Ec2Interface *interface, struct in_addr address);

/* Describes the named interfaces in one call. An interface missing from the reply is an error. */
int ec2_describe_interfaces(AwsClient *client, const char *const *eni_ids, size_t n,
                            const Wait *wait, Ec2Interface *ret, Error *err);
/* Finds, by filter, the interface that has this private address in the subnet. Returns 1, or 0 if
 * there is none. */
int ec2_find_interface_by_address(AwsClient *client, const char *subnet_id, const char *address,
                                  const Wait *wait, Ec2Interface *ret, Error *err);
int ec2_set_source_dest_check(AwsClient *client, const char *eni_id, bool value, const Wait *wait,
                              Error *err);
int ec2_assign_private_address(AwsClient *client, const char *eni_id, const char *address,
                               const Wait *wait, Error *err); /* AllowReassignment */

typedef struct Ec2Address {
        char public_ip[16];
        char allocation_id[48];
        char association_id[48]; /* "" when free */
        char instance_id[32];
        char eni_id[32];
        char private_ip[16];
} Ec2Address;

int ec2_describe_address(AwsClient *client, const char *allocation_id, const Wait *wait,
                         Ec2Address *ret, Error *err);
int ec2_associate_address(AwsClient *client, const char *allocation_id, const char *eni_id,
                          const char *private_ip, const Wait *wait,
                          Error *err); /* AllowReassociation */
