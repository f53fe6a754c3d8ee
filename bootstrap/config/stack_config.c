/* SPDX-License-Identifier: Apache-2.0 */
#include "config/stack_config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "config/envfile.h"

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
          "eipalloc-0123456789abcdef0", "Elastic IP of the API server.",
          FIELD(master_eip_allocation_id) },
        { "MASTER_PRIVATE_IP", KEY_IPV4, NULL, ROLE_ALL, NULL, "172.20.128.9",
          "Fixed private address of the master, in its subnet; nodes reach it there.",
          FIELD(master_private_ip) },
        { "MASTER_IAM_ROLE", KEY_STRING, NULL, ROLE_ALL, NULL, "kubernetes-master",
          "Name of the IAM role of masters.", FIELD(master_iam_role) },
        { "NODE_IAM_ROLE", KEY_STRING, NULL, ROLE_ALL, NULL, "kubernetes-node",
          "Name of the IAM role of nodes.", FIELD(node_iam_role) },
        { "OVERLAY_NETWORK", KEY_CIDR, "10.244.0.0/16", 0, NULL, "10.244.0.0/16",
          "Network of the pods; each machine gets a /24 of it.", FIELD(overlay_network) },
        { "OVERLAY_BACKEND", KEY_CHOICE, "vxlan", 0, "vxlan|host-gw", "vxlan",
          "flannel's backend. host-gw needs all machines in one subnet.", FIELD(overlay_backend) },
        { "SERVICE_NETWORK", KEY_CIDR, "10.0.0.0/16", 0, NULL, "10.0.0.0/16",
          "Network of the services' addresses.", FIELD(service_network) },
        { "CLUSTER_DOMAIN", KEY_DOMAIN, "cluster.local", 0, NULL, "cluster.local",
          "DNS domain of the services.", FIELD(cluster_domain) },
        { "CGROUP_DRIVER", KEY_CHOICE, "cgroupfs", 0, "cgroupfs|systemd", "cgroupfs",
          "Who makes cgroups, for docker and kubelet alike; checked against docker.",
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
          "A further name that the API server's certificate is to carry.", FIELD(api_dns_name) },
        { "STACK_NAME", KEY_STRING, "", 0, NULL, "",
          "CloudFormation stack, by name or id, that is told when the machine is ready or has "
          "failed.",
          FIELD(stack_name) },
        { "STACK_RESOURCE", KEY_STRING, "", 0, NULL, "",
          "Logical id in that stack of the group that launched this instance.",
          FIELD(stack_resource) },
};

const size_t stack_config_n_keys = ELEMENTS(stack_config_keys);

static const char *const key_type_names[_KEY_TYPE_MAX] = {
        [KEY_STRING] = "string",
        [KEY_NAME] = "name",
        [KEY_ROLE] = "role",
        [KEY_BUCKET] = "bucket name",
        [KEY_PREFIX] = "key prefix",
        [KEY_VOLUME_ID] = "volume id",
        [KEY_ALLOCATION_ID] = "allocation id",
        [KEY_IPV4] = "IPv4 address",
        [KEY_CIDR] = "network (CIDR)",
        [KEY_CHOICE] = "choice",
        [KEY_DOMAIN] = "domain name",
        [KEY_SECONDS] = "seconds",
};

const char *key_type_to_string(KeyType type)
{
        return type >= 0 && type < _KEY_TYPE_MAX ? key_type_names[type] : "invalid";
}

const char *role_to_string(Role role)
{
        return role == ROLE_MASTER ? "master" : role == ROLE_NODE ? "node" : "";
}

/* [a-z0-9]([a-z0-9EXTRA]*[a-z0-9])? of least..most characters. */
static bool is_label(const char *s, size_t least, size_t most, const char *extra)
{
        size_t n = strlen(s);
        if (n < least || n > most) {
                return false;
        }
        for (size_t i = 0; i < n; i++) {
                bool alnum = islower((unsigned char) s[i]) || isdigit((unsigned char) s[i]);
                bool inner = i > 0 && i + 1 < n && strchr(extra, s[i]);
                if (!alnum && !inner) {
                        return false;
                }
        }
        return true;
}

/* "vol-" and the like, then 8 or 17 hexadecimal digits.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html */
static bool is_resource_id(const char *s, const char *prefix)
{
        if (!string_starts_with(s, prefix)) {
                return false;
        }
        const char *digits = s + strlen(prefix);
        size_t n = strspn(digits, "0123456789abcdef");
        return digits[n] == '\0' && (n == 8 || n == 17);
}

static bool is_prefix(const char *s)
{
        size_t n = strlen(s);
        for (size_t i = 0; i < n; i++) {
                if (!isalnum((unsigned char) s[i]) && !strchr("-_./", s[i])) {
                        return false;
                }
        }
        return n > 0 && n <= 128 && s[0] != '/' && s[n - 1] != '/' && !strstr(s, "//") &&
               !strstr(s, "..");
}

static bool is_cidr(const char *s)
{
        char address[INET_ADDRSTRLEN];
        const char *slash = strchr(s, '/');
        struct in_addr in;
        uint64_t bits = 0;
        if (!slash || (size_t) (slash - s) >= sizeof(address) ||
            string_parse_u64(slash + 1, 30, &bits) < 0 || bits < 8) {
                return false;
        }
        memcpy(address, s, (size_t) (slash - s));
        address[slash - s] = '\0';
        return inet_pton(AF_INET, address, &in) == 1 &&
               (ntohl(in.s_addr) & (UINT32_MAX >> bits)) == 0;
}

static bool is_choice(const char *s, const char *choices)
{
        size_t n = strlen(s);
        for (const char *p = choices; n > 0 && !strchr(s, '|') && p;) {
                if (strncmp(p, s, n) == 0 && (p[n] == '|' || p[n] == '\0')) {
                        return true;
                }
                p = strchr(p, '|');
                p = p ? p + 1 : NULL;
        }
        return false;
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

/* Whether the value fits the type; NULL, or what is expected instead. */
static const char *misfit(const ConfigKey *key, const char *value)
{
        uint64_t seconds;
        struct in_addr in;
        switch (key->type) {
        case KEY_STRING:
                for (const char *p = value; *p; p++) {
                        if (!isgraph((unsigned char) *p)) {
                                return "printable characters without blanks";
                        }
                }
                return strlen(value) <= 256 ? NULL : "at most 256 characters";
        case KEY_NAME:
                return is_label(value, 1, 63, "-")
                               ? NULL
                               : "lower-case letters, digits and hyphens, at most 63";
        case KEY_BUCKET: /* https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
                          */
                return is_label(value, 3, 63, "-.") && !strstr(value, "..") ? NULL
                                                                            : "a bucket's name";
        case KEY_PREFIX:
                return is_prefix(value) ? NULL : "letters, digits, - _ . and single / within";
        case KEY_VOLUME_ID:
                return is_resource_id(value, "vol-") ? NULL : "vol- and 8 or 17 hex digits";
        case KEY_ALLOCATION_ID:
                return is_resource_id(value, "eipalloc-") ? NULL
                                                          : "eipalloc- and 8 or 17 hex digits";
        case KEY_IPV4:
                return inet_pton(AF_INET, value, &in) == 1 ? NULL : "an IPv4 address";
        case KEY_CIDR:
                return is_cidr(value) ? NULL : "a network such as 10.244.0.0/16, host bits zero";
        case KEY_ROLE:
        case KEY_CHOICE:
                return is_choice(value, key->choices) ? NULL : key->choices;
        case KEY_DOMAIN:
                return is_label(value, 1, 253, "-.") && !strstr(value, "..")
                               ? NULL
                               : "a lower-case DNS name";
        case KEY_SECONDS:
                return string_parse_u64(value, 86400, &seconds) == 0 && seconds > 0
                               ? NULL
                               : "1 to 86400 seconds";
        case _KEY_TYPE_MAX:
        case _KEY_TYPE_INVALID:
                break;
        }
        return "nothing: this key's type is unknown";
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
        case KEY_SECONDS:
                (void) string_parse_u64(value, UINT32_MAX, &number);
                *(unsigned *) field = (unsigned) number;
                return 0;
        default:
                return set_string(config, key, value);
        }
}

/* One row against the file; problems are appended. */
static int take_key(const char *path, const EnvFile *file, const ConfigKey *key, Role role,
                    StackConfig *config, Buffer *problems)
{
        const EnvEntry *entry = envfile_get(file, key->name);
        const char *value = entry ? entry->value : "";
        if (isempty(value) && (key->required_by & (role ? role : ROLE_ALL))) {
                return buffer_append_format(problems, "%s%s: %s is %s (%s)",
                                            problems->size ? "; " : "", path, key->name,
                                            entry ? "empty" : "missing", key->help);
        }
        if (isempty(value)) {
                value = key->default_value ? key->default_value : "";
        }
        if (isempty(value)) {
                return key->type == KEY_ROLE || key->type == KEY_IPV4 ? 0
                                                                      : set_string(config, key, "");
        }
        const char *expected = misfit(key, value);
        if (expected) {
                return buffer_append_format(problems, "%s%s:%u: %s=\"%.64s\": expected %s",
                                            problems->size ? "; " : "", path,
                                            entry ? entry->line : 0, key->name, value, expected);
        }
        return set_value(config, key, value);
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

static int warn_unknown(const char *path, const EnvFile *file, StringList *warnings)
{
        FOREACH_ARRAY(e, file->entries, file->n) {
                if (find_key(e->key)) {
                        continue;
                }
                _cleanup_free_ char *text =
                        string_format("%s:%u: unknown key %s", path, e->line, e->key);
                if (!text || string_list_append(warnings, text) < 0) {
                        return -ENOMEM;
                }
        }
        return 0;
}

/* One without the other would tell nobody, and nobody would notice. */
static int check_stack(const char *path, const StackConfig *config, Buffer *problems)
{
        if (isempty(config->stack_name) == isempty(config->stack_resource)) {
                return 0;
        }
        return buffer_append_format(
                problems, "%s%s: STACK_NAME and STACK_RESOURCE are given together, or not",
                problems->size ? "; " : "", path);
}

static Role file_role(const EnvFile *file)
{
        const EnvEntry *role = envfile_get(file, "KUBERNETES_ROLE");
        return !role                          ? 0
               : streq(role->value, "master") ? ROLE_MASTER
               : streq(role->value, "node")   ? ROLE_NODE
                                              : 0;
}

int stack_config_load(const char *path, StackConfig *ret, StringList *ret_warnings, Error *err)
{
        _cleanup_envfile_ EnvFile file = {};
        int r = envfile_load(path, &file, err);
        if (r == -ENOENT) {
                return error_set(err, ERROR_CONFIG, ENOENT,
                                 "%s does not exist: the instance's user data is to write it, as "
                                 "#cloud-config with write_files (a user-data script runs too late "
                                 "for it)",
                                 path);
        }
        if (r < 0) {
                return r;
        }
        _cleanup_stack_config_ StackConfig config = {};
        _cleanup_buffer_ Buffer problems = {};
        Role role = file_role(&file);
        FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                if (take_key(path, &file, key, role, &config, &problems) < 0) {
                        return error_oom(err);
                }
        }
        if (check_stack(path, &config, &problems) < 0) {
                return error_oom(err);
        }
        if (problems.size > 0) {
                return error_set(err, ERROR_CONFIG, EINVAL, "%s", problems.data);
        }
        if (ret_warnings && warn_unknown(path, &file, ret_warnings) < 0) {
                return error_oom(err);
        }
        *ret = config;
        config = (StackConfig) {};
        return 0;
}

int stack_config_find_stack(const char *path, char **ret_name, char **ret_resource, Error *err)
{
        _cleanup_envfile_ EnvFile file = {};
        int r = envfile_load(path, &file, err);
        if (r < 0) {
                /* What cannot be read names none, now or later; that it cannot be is step config's
                 * word. */
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
                bool is_string =
                        key->type != KEY_ROLE && key->type != KEY_IPV4 && key->type != KEY_SECONDS;
                if (is_string) {
                        freep((char *) config + key->offset);
                }
        }
        *config = (StackConfig) {};
}
