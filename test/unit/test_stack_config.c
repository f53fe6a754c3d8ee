/* SPDX-License-Identifier: Apache-2.0 */
#include "config/stack_config.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/file.h"
#include "config/envfile.h"
#include "harness.h"

#define GOOD                                                                                    \
        "KUBERNETES_ROLE=master\nCLUSTER_NAME=c1\nS3_BUCKET=bucket-1\n"                         \
        "MASTER_VOLUME_ID=vol-0123456789abcdef0\n"                                              \
        "MASTER_EIP_ALLOCATION_ID=eipalloc-0123456789abcdef0\nMASTER_PRIVATE_IP=172.20.128.9\n" \
        "MASTER_IAM_ROLE=m\nNODE_IAM_ROLE=n\n"

static char path[256];

static int load(const char *text, StackConfig *ret, StringList *warnings, Error *err)
{
        (void) snprintf(path, sizeof(path), "%s/stack-config.sh", test_folder());
        CHECK_OK(file_write(path, text, strlen(text), 0644, err), *err);
        return stack_config_load(path, ret, warnings, err);
}

static void load_accepts_master(void)
{
        _cleanup_stack_config_ StackConfig c = {};
        _cleanup_string_list_ StringList warnings = {};
        Error err = {};
        CHECK_OK(load(GOOD "FOO=1\nS3_PREFIX=a/b\n", &c, &warnings, &err), err);
        CHECK_INT(c.role, ROLE_MASTER);
        CHECK_STR(c.master_volume_id, "vol-0123456789abcdef0");
        CHECK_STR(c.s3_prefix, "a/b");
        CHECK_STR(c.overlay_network, "10.244.0.0/16");
        CHECK_STR(c.kms_key_id, "");
        CHECK_STR(c.cloud_provider, "none");
        CHECK_INT(c.attach_timeout_s, 600);
        CHECK_INT(c.join_token_s, 86400);
        CHECK_INT(ntohl(c.master_private_ip.s_addr), 0xac148009);
        CHECK_INT(warnings.n, 1);
        CHECK_CONTAINS(warnings.n ? warnings.items[0] : NULL, ":9: unknown key FOO");
}

static void load_accepts_node_without_volume(void)
{
        _cleanup_stack_config_ StackConfig c = {};
        Error err = {};
        CHECK_OK(load("KUBERNETES_ROLE=node\nCLUSTER_NAME=c1\nS3_BUCKET=bucket-1\n"
                      "MASTER_PRIVATE_IP=172.20.128.9\nMASTER_IAM_ROLE=m\nNODE_IAM_ROLE=n\n",
                      &c, NULL, &err),
                 err);
        CHECK_INT(c.role, ROLE_NODE);
        CHECK_STR(c.master_volume_id, "");
}

static void load_refuses(void)
{
        static const struct {
                const char *text, *messages[3];
        } cases[] = {
                { "KUBERNETES_ROLE=king\n",
                  { ":1: KUBERNETES_ROLE=\"king\": expected master|node" } },
                { "",
                  { "KUBERNETES_ROLE is missing", "CLUSTER_NAME is missing",
                    "S3_BUCKET is missing" } },
                { GOOD "MASTER_VOLUME_ID=vol-1\n", { ":9: MASTER_VOLUME_ID=\"vol-1\"" } },
                { GOOD "MASTER_VOLUME_ID=\n", { "MASTER_VOLUME_ID is empty" } },
                { GOOD "MASTER_PRIVATE_IP=1.2.3\n", { "an IPv4 address" } },
                { GOOD "OVERLAY_NETWORK=10.244.0.1/16\n", { "host bits zero" } },
                { GOOD "OVERLAY_BACKEND=udp\n", { "vxlan|host-gw" } },
                { GOOD "OVERLAY_BACKEND='vxlan|host-gw'\n", { "vxlan|host-gw" } },
                { GOOD "CLOUD_PROVIDER=gce\n", { "none|aws|external" } },
                { GOOD "CLUSTER_NAME=Big\nS3_BUCKET=a..b\n",
                  { ":9: CLUSTER_NAME", "; ", ":10: S3_BUCKET" } },
                { GOOD "S3_PREFIX=/a\n", { "S3_PREFIX" } },
                { GOOD "S3_PREFIX=a/../b\n", { "S3_PREFIX" } },
                { GOOD "MASTER_IAM_ROLE='a b'\n", { "printable" } },
                { GOOD "ATTACH_TIMEOUT_SECONDS=0\n", { "1 to 86400" } },
                { GOOD "STACK_NAME=s\n", { "STACK_NAME and STACK_RESOURCE are given together" } },
                { GOOD "STACK_RESOURCE=r\n",
                  { "STACK_NAME and STACK_RESOURCE are given together" } },
                { GOOD "X=$(reboot)\n", { ":9:3: command substitution" } },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_stack_config_ StackConfig config = {};
                Error err = {};
                CHECK(load(c->text, &config, NULL, &err) < 0);
                CHECK_INT(err.class, ERROR_CONFIG);
                for (size_t i = 0; i < 3 && c->messages[i]; i++) {
                        CHECK_CONTAINS(err.message, c->messages[i]);
                }
                CHECK_CONTAINS(err.message, path);
        }
}

static void load_explains_a_missing_file(void)
{
        StackConfig c;
        Error err = {};
        CHECK_INT(stack_config_load("/nonexistent/stack-config.sh", &c, NULL, &err), -2);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "#cloud-config");
}

/* So that it can be told that the file is no good. */
static void stack_is_found_in_any_file(void)
{
        static const struct {
                const char *text;
                int result;
        } cases[] = {
                { "CLUSTER_NAME=Not-One\nSTACK_NAME=arn:aws:cloudformation:r:1:stack/s/u\n"
                  "STACK_RESOURCE=Nodes\n",
                  1 },
                { GOOD, 0 },
                { GOOD "STACK_NAME=s\nSTACK_RESOURCE=\n", 0 },
                { GOOD "STACK_RESOURCE=Nodes\n", 0 },
                { "STACK_NAME=s\nSTACK_RESOURCE=$(reboot)\n", 0 },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_stack_config_ StackConfig config = {};
                _cleanup_free_ char *name = NULL, *resource = NULL;
                Error err = {};
                (void) load(c->text, &config, NULL, &err); /* writes it; is beside the point */
                CHECK_INT(stack_config_find_stack(path, &name, &resource, &err), c->result);
                if (c->result > 0) {
                        CHECK_STR(name, "arn:aws:cloudformation:r:1:stack/s/u");
                        CHECK_STR(resource, "Nodes");
                }
        }
        _cleanup_free_ char *name = NULL, *resource = NULL;
        Error err = {};
        CHECK_INT(stack_config_find_stack("/nonexistent/stack-config.sh", &name, &resource, &err),
                  0);
}

/* The sample says what the table says: same keys, same order, every example acceptable. */
static void sample_agrees_with_table(void)
{
        _cleanup_envfile_ EnvFile file = {};
        _cleanup_stack_config_ StackConfig config = {};
        Error err = {};
        CHECK_OK(envfile_load("conf/stack-config.sh", &file, &err), err);
        CHECK_OK(stack_config_load("conf/stack-config.sh", &config, NULL, &err), err);
        CHECK_INT(file.n, stack_config_n_keys);
        for (size_t i = 0; i < file.n && i < stack_config_n_keys; i++) {
                CHECK_STR(file.entries[i].key, stack_config_keys[i].name);
                CHECK_STR(file.entries[i].value, stack_config_keys[i].example);
        }
}

static void manual_agrees_with_table(void)
{
        _cleanup_buffer_ Buffer text = {};
        Error err = {};
        CHECK_OK(file_read("bootstrap/man/stack-config.sh.5", 1 << 20, &text, &err), err);
        FOREACH_ARRAY(key, stack_config_keys, stack_config_n_keys) {
                _cleanup_free_ char *heading = string_format("\n.B %s\n", key->name);
                CHECK_CONTAINS(text.data, heading);
                _cleanup_free_ char *help = string_format("\n%s\n", key->help);
                CHECK_CONTAINS(text.data, help);
        }
}

int main(void)
{
        test_case("stack_config: a master's file", load_accepts_master);
        test_case("stack_config: a node needs no volume", load_accepts_node_without_volume);
        test_case("stack_config: every wrong line is named", load_refuses);
        test_case("stack_config: a missing file is explained", load_explains_a_missing_file);
        test_case("stack_config: the stack, of any file", stack_is_found_in_any_file);
        test_case("stack_config: conf/stack-config.sh agrees", sample_agrees_with_table);
        test_case("stack_config: stack-config.sh(5) agrees", manual_agrees_with_table);
        return test_done();
}
