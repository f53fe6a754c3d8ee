/* SPDX-License-Identifier: Apache-2.0 */
#include "config/stack_config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/envfile.h"
#include "config/key_check.h"
#include "config/networks.h"

#define FIELD(name) .offset = offsetof(StackConfig, name)

const ConfigKey stack_config_keys[] = {
        { "KUBERNETES_ROLE", KEY_ROLE, NULL, ROLE_ALL, "master|node", "master",
          "What this instance is to become; checked against its IAM role.", FIELD(role) },
        { "CLUSTER_NAME", KEY_NAME, NULL, ROLE_ALL, NULL, "kubernetes",
          "Name of the cluster; marks the master volume's filesystem.", FIELD(cluster_name) },
        { "S3_BUCKET", KEY_BUCKET, NULL, ROLE_ALL, NULL, "kubernetes-123456789012-us-east-1",
          "Bucket of the certificates and tokens.", FIELD(s3_bucket) },
        { "S3_PREFIX", KEY_PREFIX, "pki", 0, NULL, "pki",
          "Folder in the bucket, so that clusters can share one.", FIELD(s3_prefix) },
        { "KMS_KEY_ID", KEY_STRING, "", 0, NULL, "",
          "Key that encrypts the objects; empty: the bucket's default encryption.",
          FIELD(kms_key_id) },
        { "MASTER_VOLUME_ID", KEY_VOLUME_ID, "", ROLE_MASTER, NULL, "vol-0123456789abcdef0",
          "EBS volume of the master: etcd's data. Whoever has it attached is the master.",
          FIELD(master_volume_id) },
        { "MASTER_EIP_ALLOCATION_ID", KEY_ALLOCATION_ID, "", ROLE_MASTER, NULL,
          "eipalloc-0123456789abcdef0",
          "Elastic IP of the API server, in its certificate from the cluster's creation on.",
          FIELD(master_eip_allocation_id) },
        { "MASTER_PRIVATE_IP", KEY_IPV4, NULL, ROLE_ALL, NULL, "172.20.128.9",
          "Fixed private address of the master, in its subnet; in certificates from the cluster's "
          "creation on.",
          FIELD(master_private_ip) },
        { "MASTER_IAM_ROLE", KEY_ROLE_NAME, NULL, ROLE_ALL, NULL, "kubernetes-master",
          "Name of the IAM role of masters.", FIELD(master_iam_role) },
        { "NODE_IAM_ROLE", KEY_ROLE_NAME, NULL, ROLE_ALL, NULL, "kubernetes-node",
          "Name of the IAM role of nodes.", FIELD(node_iam_role) },
        { "OVERLAY_NETWORK", KEY_CIDR, "10.244.0.0/16", 0, NULL, "10.244.0.0/16",
          "Network of the pods; each machine gets a /24 of it. Never changes after the cluster's "
          "creation.",
          FIELD(overlay_network) },
        { "OVERLAY_BACKEND", KEY_CHOICE, "vxlan", 0, "vxlan|host-gw", "vxlan",
          "flannel's backend. host-gw needs all machines in one subnet. Never changes after the "
          "cluster's creation.",
          FIELD(overlay_backend) },
        { "SERVICE_NETWORK", KEY_CIDR, "10.96.0.0/16", 0, NULL, "10.96.0.0/16",
          "Network of the services' addresses. Never changes after the cluster's creation.",
          FIELD(service_network) },
        { "CLUSTER_DOMAIN", KEY_DOMAIN, "cluster.local", 0, NULL, "cluster.local",
          "DNS domain of the services. Never changes after the cluster's creation.",
          FIELD(cluster_domain) },
        { "CONTAINER_RUNTIME", KEY_CHOICE, "", 0, "docker|containerd", "",
          "What runs the pods, to be checked against what the AMI carries; empty: whatever that "
          "is. "
          "Never changes after the cluster's creation.",
          FIELD(container_runtime) },
        { "CGROUP_DRIVER", KEY_CHOICE, "", 0, "cgroupfs|systemd", "",
          "Who makes cgroups, for the container runtime and kubelet alike; checked against the "
          "runtime. Empty: cgroupfs with docker, systemd with containerd.",
          FIELD(cgroup_driver) },
        { "CLOUD_PROVIDER", KEY_CHOICE, "none", 0, "none|aws|external", "none",
          "Kubernetes' own view of the cloud.", FIELD(cloud_provider) },
        { "ATTACH_TIMEOUT_SECONDS", KEY_SECONDS, "600", 0, NULL, "600",
          "How long a master waits for its volume before it gives up and says who holds it.",
          FIELD(attach_timeout_s) },
        { "JOIN_TOKEN_SECONDS", KEY_SECONDS, "86400", 0, NULL, "86400",
          "How long a token lives with which a node asks for its certificate; renewed after half "
          "of "
          "it.",
          FIELD(join_token_s) },
        { "API_DNS_NAME", KEY_DOMAIN, "", 0, NULL, "",
          "A further name for the API server's certificate; applies at the cluster's creation "
          "only.",
          FIELD(api_dns_name) },
        { "STACK_NAME", KEY_STRING, "", 0, NULL, "",
          "CloudFormation stack, by name or id, that is told when the machine is ready or has "
          "failed.",
          FIELD(stack_name) },
        { "STACK_RESOURCE", KEY_LOGICAL_ID, "", 0, NULL, "",
          "Logical id in that stack of the group that launched this instance.",
          FIELD(stack_resource) },
};

const size_t stack_config_n_keys = ELEMENTS(stack_config_keys);
static_assert(ELEMENTS(stack_config_keys) <= STACK_CONFIG_KEYS_MAX, "each row has its line");

const char *role_to_string(Role role)
{
        if (role == ROLE_MASTER) {
                return "master";
        }
        return role == ROLE_NODE ? "node" : "";
}

static bool is_string(const ConfigKey *key)
{
        return key->type != KEY_ROLE && key->type != KEY_IPV4 && key->type != KEY_CIDR &&
               key->type != KEY_SECONDS;
}

static int set_string(StackConfig *config, const ConfigKey *key, const char *value)
{
        char *copy = strdup(value);
        if (!copy) {
                return -ENOMEM;
        }
        *(char **) ((char *) config + key->offset) = copy;
        return 0;
}

static int set_value(StackConfig *config, const ConfigKey *key, const char *value)
{
        void *field = (char *) config + key->offset;
        uint64_t number = 0;
        switch (key->type) {
        case KEY_ROLE:
                *(Role *) field = streq(value, "master") ? ROLE_MASTER : ROLE_NODE;
                return 0;
        case KEY_IPV4:
                (void) inet_pton(AF_INET, value, field); /* checked by misfit() */
                return 0;
        case KEY_CIDR:
                (void) network_parse(value, field);
                return 0;
        case KEY_SECONDS:
                (void) string_parse_u64(value, UINT32_MAX, &number);
                *(unsigned *) field = (unsigned) number;
                return 0;
        default:
                return set_string(config, key, value);
        }
}

static const ConfigKey *find_key(const char *name)
{
        FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                if (streq(key->name, name)) {
                        return key;
                }
        }
        return NULL;
}

unsigned stack_config_line(const StackConfig *config, const char *key)
{
        const ConfigKey *row = find_key(key);
        return row ? config->lines[row - stack_config_keys] : 0;
}

/* Returns the entry of an unknown key whose name is nearly this one, or NULL. */
static const EnvEntry *misspelt(const EnvFile *file, const ConfigKey *key)
{
        FOREACH_ARRAY(e, file->entries, file->n) {
                if (!find_key(e->key) && key_meant_by(e->key) == key) {
                        return e;
                }
        }
        return NULL;
}

static int config_refuse_missing(const char *path, const EnvFile *file, const ConfigKey *key,
                                 const EnvEntry *entry, StringList *problems)
{
        const EnvEntry *meant = entry ? NULL : misspelt(file, key);
        if (meant) {
                return string_list_append_format(
                        problems,
                        "%s: %s is missing (%s); line %u has the unknown key %s: did you mean "
                        "%s?",
                        path, key->name, key->help, meant->line, meant->key, key->name);
        }
        return string_list_append_format(problems, "%s: %s is %s (%s)", path, key->name,
                                         entry ? "empty" : "missing", key->help);
}

/* Checks one row against the file and stores its value in *config. Problems are appended. */
static int take_key(const char *path, const EnvFile *file, const ConfigKey *key, Role role,
                    StackConfig *config, StringList *problems)
{
        const EnvEntry *entry = envfile_get(file, key->name);
        const char *value = entry ? entry->value : "";
        if (entry && entry->conflicts) {
                return string_list_append_format(problems,
                                                 "%s:%u: %s is set to another value in line %u",
                                                 path, entry->line, key->name, entry->earlier_line);
        }
        if (isempty(value) && (key->required_by & (role ? role : ROLE_ALL))) {
                return config_refuse_missing(path, file, key, entry, problems);
        }
        if (isempty(value)) {
                value = strempty(key->default_value);
        } else {
                config->lines[key - stack_config_keys] = entry->line;
        }
        if (isempty(value)) {
                return is_string(key) ? set_string(config, key, "") : 0;
        }
        _cleanup_buffer_ Buffer problem = {};
        int r = key_check_value(key, value, &problem);
        if (r < 0) {
                return r;
        }
        if (problem.size > 0) {
                return string_list_append_format(problems, "%s:%u: %s=\"%.64s\": %s", path,
                                                 entry ? entry->line : 0, key->name, value,
                                                 problem.data);
        }
        return set_value(config, key, value);
}

static int warn_entry(const char *path, const EnvEntry *e, StringList *warnings)
{
        const ConfigKey *meant = find_key(e->key) ? NULL : key_meant_by(e->key);
        if (meant) {
                return string_list_append_format(warnings,
                                                 "%s:%u: unknown key %s: did you mean %s?", path,
                                                 e->line, e->key, meant->name);
        }
        if (!find_key(e->key)) {
                return string_list_append_format(warnings, "%s:%u: unknown key %s", path, e->line,
                                                 e->key);
        }
        if (e->earlier_line > 0 && !e->conflicts) {
                return string_list_append_format(warnings,
                                                 "%s:%u: %s is set to the same value in line %u",
                                                 path, e->line, e->key, e->earlier_line);
        }
        return 0;
}

/* Appends a warning for each thing that is no error but was probably not meant so. */
static int warn_of(const char *path, const EnvFile *file, StringList *warnings)
{
        if (file->byte_order_mark &&
            string_list_append_format(
                    warnings,
                    "%s:1: the file begins with a UTF-8 byte order mark: it is skipped here, but a "
                    "shell takes it for a part of the first word",
                    path) < 0) {
                return -ENOMEM;
        }
        FOREACH_ARRAY(e, file->entries, file->n) {
                if (warn_entry(path, e, warnings) < 0) {
                        return -ENOMEM;
                }
        }
        return 0;
}

/* Checks that STACK_NAME and STACK_RESOURCE are given together. With one of them alone no signal is
 * sent, and nobody would notice. */
static int check_stack(const char *path, const StackConfig *config, StringList *problems)
{
        if (isempty(config->stack_name) == isempty(config->stack_resource)) {
                return 0;
        }
        return string_list_append_format(
                problems, "%s: STACK_NAME and STACK_RESOURCE are given together, or not", path);
}

static Role file_role(const EnvFile *file)
{
        const EnvEntry *role = envfile_get(file, "KUBERNETES_ROLE");
        if (!role) {
                return 0;
        }
        if (streq(role->value, "master")) {
                return ROLE_MASTER;
        }
        return streq(role->value, "node") ? ROLE_NODE : 0;
}

int stack_config_check_provider(const char *path, const StackConfig *config, StringList *problems)
{
        /* NULL if the value in the file is wrong, which is a problem of its own */
        if (!streq(strempty(config->container_runtime), "containerd") ||
            !streq(strempty(config->cloud_provider), "aws")) {
                return 0;
        }
        return string_list_append_format(
                problems,
                "%s:%u: CLOUD_PROVIDER=aws, but Kubernetes removed its AWS cloud provider in 1.27, "
                "and containerd comes with a newer one: set none, or external and install AWS's "
                "cloud controller manager",
                path, stack_config_line(config, "CLOUD_PROVIDER"));
}

int stack_config_check(const char *path, StackConfig *ret, StringList *ret_problems,
                       StringList *ret_warnings, Error *err)
{
        _cleanup_envfile_ EnvFile file = {};
        int r = envfile_load(path, &file, err);
        if (r == -ENOENT) {
                return error_set(err, ERROR_CONFIG, ENOENT,
                                 "%s does not exist: the instance's user data must write it, as "
                                 "#cloud-config with write_files (a user-data script runs too late "
                                 "for it)",
                                 path);
        }
        if (r < 0) {
                return r;
        }
        _cleanup_stack_config_ StackConfig config = {};
        Role role = file_role(&file);
        FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                if (take_key(path, &file, key, role, &config, ret_problems) < 0) {
                        return error_oom(err);
                }
        }
        if (check_stack(path, &config, ret_problems) < 0 ||
            stack_config_check_provider(path, &config, ret_problems) < 0 ||
            networks_check_pairs(path, &config, ret_problems) < 0 ||
            warn_of(path, &file, ret_warnings) < 0) {
                return error_oom(err);
        }
        if (ret_problems->n > 0) {
                return 0;
        }
        *ret = config;
        config = (StackConfig) {};
        return 1;
}

int stack_config_load(const char *path, StackConfig *ret, StringList *ret_warnings, Error *err)
{
        _cleanup_string_list_ StringList problems = {}, warnings = {};
        int r = stack_config_check(path, ret, &problems, &warnings, err);
        if (r == 0) {
                return stack_config_refuse(&problems, err);
        }
        if (r > 0 && ret_warnings) {
                *ret_warnings = TAKE_GENERIC(warnings, (StringList) {});
        }
        return r < 0 ? r : 0;
}

int stack_config_refuse(const StringList *problems, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        for (size_t i = 0; i < problems->n; i++) {
                if (buffer_append_format(&text, "%s%s", i > 0 ? "; " : "", problems->items[i]) <
                    0) {
                        return error_oom(err);
                }
        }
        return error_set(err, ERROR_CONFIG, EINVAL, "%s", text.data);
}

int stack_config_find_stack(const char *path, char **ret_name, char **ret_resource, Error *err)
{
        _cleanup_envfile_ EnvFile file = {};
        int r = envfile_load(path, &file, err);
        if (r < 0) {
                /* A file that is missing or malformed names no stack, and a retry would not help.
                 * The config step reports the error. */
                return r == -ENOENT || err->class == ERROR_CONFIG ? 0 : r;
        }
        const EnvEntry *name = envfile_get(&file, "STACK_NAME");
        const EnvEntry *resource = envfile_get(&file, "STACK_RESOURCE");
        if (!name || !resource || isempty(name->value) || isempty(resource->value)) {
                return 0;
        }
        _cleanup_free_ char *name_copy = strdup(name->value);
        _cleanup_free_ char *resource_copy = strdup(resource->value);
        if (!name_copy || !resource_copy) {
                return error_oom(err);
        }
        *ret_name = TAKE(name_copy);
        *ret_resource = TAKE(resource_copy);
        return 1;
}

void stack_config_done(StackConfig *config)
{
        FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                if (is_string(key)) {
                        freep((char *) config + key->offset);
                }
        }
        *config = (StackConfig) {};
}
