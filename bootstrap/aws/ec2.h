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
        char snapshot_id[32]; /* that it was made from, "" if from none */
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

/* InvalidVolume.NotFound is ERROR_CONFIG (the caller grants a grace period). */
int ec2_describe_volume(AwsClient *client, const char *volume_id, const Wait *wait, Ec2Volume *ret,
                        Error *err);
/* Classes by errors_classify(); VolumeInUse, IncorrectState and IncorrectInstanceState are
 * ERROR_RETRY. */
int ec2_attach_volume(AwsClient *client, const char *volume_id, const char *instance_id,
                      const char *device, const Wait *wait, Error *err);
int ec2_detach_volume(AwsClient *client, const char *volume_id, const char *instance_id, bool force,
                      const Wait *wait, Error *err);

/* State name ("running", …) of an instance: 1; 0 if EC2 does not know it. */
int ec2_describe_instance_state(AwsClient *client, const char *instance_id, const Wait *wait,
                                char ret[24], Error *err);

/* An instance with 32 network cards fills 80 KB of a reply, and replies are bounded. */
#define EC2_NAMES_MAX   50
#define EC2_TAG_CLUSTER "KubernetesCluster"
#define EC2_TAG_ROLE    "KubernetesRole"

typedef struct Ec2Instance {
        char instance_id[32]; /* "": EC2 knows none */
        char state[24];       /* pending, running, shutting-down, terminated, stopping, stopped */
        char role[16];        /* its tag KubernetesRole; "" if it has none, or another's */
        bool other_domain;    /* EC2 has the host of that name under another domain only */
} Ec2Instance;

/* The instances of which the primary interface has these private DNS names and which have the tag
 * KubernetesCluster=CLUSTER, in one call, ret[i] for names[i] (at most EC2_NAMES_MAX). An
 * instance's own private DNS name may follow the VPC's DHCP options, an interface's is EC2's. Names
 * are compared without regard to case. An address is given anew when its instance has ended, so of
 * several instances with one name the one that runs counts. */
int ec2_find_instances_by_name(AwsClient *client, const char *cluster, const char *const *names,
                               size_t n, const Wait *wait, Ec2Instance *ret, Error *err);

#define EC2_INTERFACES_MAX 128
#define EC2_ADDRESSES_MAX  64

typedef struct Ec2Interface {
        char eni_id[32];
        char subnet_id[32];
        char vpc_id[32];
        char mac[18];
        char private_dns_name[256]; /* "" where the VPC's DNS host names are switched off */
        bool source_dest_check;     /* false also where there is none to clear (EFA-only) */
        char instance_id[32];       /* of its attachment, "" if none */
        char primary_ip[16];
        size_t n_addresses; /* all private ones, the primary too */
        char addresses[EC2_ADDRESSES_MAX][16];
} Ec2Interface;

/* The named interfaces, in one call; every one must be in the reply. */
int ec2_describe_interfaces(AwsClient *client, const char *const *eni_ids, size_t n,
                            const Wait *wait, Ec2Interface *ret, Error *err);
/* The interface of the subnet's VPC which carries a private address, by filter: 1; 0 if none does.
 */
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
