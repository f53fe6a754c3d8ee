/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/network.h"
#include "base/string.h"

#define STACK_CONFIG_PATH "/etc/kubernetes/stack-config.sh"

typedef enum Role {
        ROLE_MASTER = 1 << 0,
        ROLE_NODE = 1 << 1,
        ROLE_ALL = ROLE_MASTER | ROLE_NODE,
} Role;

const char *role_to_string(Role role); /* "master", "node" */

#define STACK_CONFIG_KEYS_MAX 32

/* The values of all keys of stack-config.sh, checked. Strings are never NULL. An optional string
 * that is not set is "". */
typedef struct StackConfig {
        Role role;
        char *cluster_name;
        char *s3_bucket;
        char *s3_prefix; /* without slashes at its ends */
        char *kms_key_id;
        char *master_volume_id;
        char *master_eip_allocation_id;
        struct in_addr master_private_ip;
        char *master_iam_role;
        char *node_iam_role;
        Network overlay_network; /* for pods */
        char *overlay_backend;   /* vxlan, host-gw */
        Network service_network;
        char *cluster_domain;
        char *container_runtime; /* docker, containerd; "": the one that the AMI carries */
        char *cgroup_driver;     /* cgroupfs, systemd */
        char *cloud_provider;    /* none, aws, external */
        unsigned attach_timeout_s;
        unsigned join_token_s;
        char *api_dns_name; /* optional further name of the API server */
        char *stack_name;   /* CloudFormation's, by name or id */
        char *stack_resource;
        unsigned lines[STACK_CONFIG_KEYS_MAX]; /* of the table's rows; 0: not in the file */
} StackConfig;

/* Returns the line that sets the key, or 0 if the file does not set it, so that it has its
 * default. */
unsigned stack_config_line(const StackConfig *config, const char *key);

void stack_config_done(StackConfig *config);
#define _cleanup_stack_config_ _cleanup_(stack_config_done)

typedef enum KeyType {
        KEY_STRING, /* an ARN is one, too */
        KEY_NAME,   /* letters, digits, hyphens: [a-z0-9]([a-z0-9-]*[a-z0-9])?, at most 63 */
        KEY_ROLE,
        KEY_ROLE_NAME, /* of IAM */
        KEY_BUCKET,
        KEY_PREFIX,
        KEY_VOLUME_ID,
        KEY_ALLOCATION_ID,
        KEY_IPV4,
        KEY_CIDR,
        KEY_CHOICE, /* one of `choices` */
        KEY_DOMAIN,
        KEY_SECONDS,
        KEY_LOGICAL_ID, /* in a CloudFormation template */
        _KEY_TYPE_MAX,
        _KEY_TYPE_INVALID = -EINVAL,
} KeyType;

/* One row of THE table of keys: parser, sample, manual page and a test follow from it. */
typedef struct ConfigKey {
        const char *name;
        KeyType type;
        const char *default_value; /* NULL: none */
        unsigned required_by;      /* mask of roles; 0: optional */
        const char *choices;       /* KEY_CHOICE: separated by "|" */
        const char *example;       /* in the sample */
        const char *help;          /* one line */
        size_t offset;             /* in StackConfig */
} ConfigKey;

extern const ConfigKey stack_config_keys[];
extern const size_t stack_config_n_keys;

/* Reads, parses and checks the file. Returns 1 if all is well, or 0 with every wrong line in
 * *ret_problems ("FILE:LINE: text"). A file that cannot be parsed is ERROR_CONFIG; the message for
 * a missing file says how it is to be made. Both lists must be empty. Things that are no error are
 * in *ret_warnings, also with 0: an unknown key, a key set twice to the same value, a byte order
 * mark. */
int stack_config_check(const char *path, StackConfig *ret, StringList *ret_problems,
                       StringList *ret_warnings, Error *err);

/* Does what stack_config_check() does, with all problems in the one message of *err ("; " between).
 * *ret_warnings (may be NULL) is set on success. */
int stack_config_load(const char *path, StackConfig *ret, StringList *ret_warnings, Error *err);

/* Appends a problem if CLOUD_PROVIDER is of a kind that Kubernetes does not have with this
 * CONTAINER_RUNTIME. Returns 0 or -ENOMEM. */
int stack_config_check_provider(const char *path, const StackConfig *config, StringList *problems);

/* Fills *err with the problems, as ERROR_CONFIG. */
int stack_config_refuse(const StringList *problems, Error *err);

/* Finds the stack that a file names, so that the stack can be told even if the rest of the file is
 * wrong. Returns 1, or 0 if the file names none, is missing, or is malformed. */
int stack_config_find_stack(const char *path, char **ret_name, char **ret_resource, Error *err);
