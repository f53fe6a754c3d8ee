/* SPDX-License-Identifier: Apache-2.0 */
#include "config/stack_config.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/file.h"
#include "config/envfile.h"
#include "config/networks.h"
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

/* Returns every problem, "; " between; NULL if there is none. Caller frees. */
static char *problems_of(const char *text, Error *err)
{
        _cleanup_stack_config_ StackConfig config = {};
        _cleanup_string_list_ StringList problems = {}, warnings = {};
        _cleanup_buffer_ Buffer all = {};
        (void) snprintf(path, sizeof(path), "%s/stack-config.sh", test_folder());
        CHECK_OK(file_write(path, text, strlen(text), 0644, err), *err);
        int r = stack_config_check(path, &config, &problems, &warnings, err);
        CHECK_INT(r, r < 0 ? r : problems.n == 0);
        if (r < 0) {
                CHECK_INT(err->class, ERROR_CONFIG);
                (void) buffer_append_string(&all, err->message);
        }
        for (size_t i = 0; i < problems.n; i++) {
                (void) buffer_append_format(&all, "%s%s", i > 0 ? "; " : "", problems.items[i]);
        }
        return all.size > 0 ? buffer_take(&all) : NULL;
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
        CHECK_INT(c.overlay_network.first, 0x0af40000); /* 10.244.0.0 */
        CHECK_INT(c.overlay_network.prefix, 16);
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
                { "MASTER_VOLUME_ID=vol-1\n", { ":1: MASTER_VOLUME_ID=\"vol-1\"" } },
                { "MASTER_VOLUME_ID=\n", { "MASTER_VOLUME_ID is empty" } },
                { "MASTER_PRIVATE_IP=1.2.3\n", { "an IPv4 address" } },
                { GOOD "OVERLAY_NETWORK=10.244.0.1/16\n",
                  { ":9: OVERLAY_NETWORK=\"10.244.0.1/16\": host bits are set, expected the "
                    "network "
                    "10.244.0.0/16" } },
                { GOOD "OVERLAY_BACKEND=udp\n", { "vxlan|host-gw" } },
                { GOOD "OVERLAY_BACKEND='vxlan|host-gw'\n", { "vxlan|host-gw" } },
                { GOOD "CLOUD_PROVIDER=gce\n", { "none|aws|external" } },
                { GOOD "CONTAINER_RUNTIME=containerd\nCLOUD_PROVIDER=aws\n",
                  { ":10: CLOUD_PROVIDER=aws, but" } },
                { GOOD "CONTAINER_RUNTIME=cri-o\n", { "docker|containerd" } },
                { "CLUSTER_NAME=Big\nS3_BUCKET=a..b\n",
                  { ":1: CLUSTER_NAME", "; ", ":2: S3_BUCKET" } },
                { GOOD "S3_PREFIX=/a\n", { "S3_PREFIX" } },
                { GOOD "S3_PREFIX=a/../b\n", { "S3_PREFIX" } },
                { "MASTER_IAM_ROLE='a b'\n", { "a role's name" } },
                { GOOD "KMS_KEY_ID='a b'\n", { "printable" } },
                { GOOD "ATTACH_TIMEOUT_SECONDS=0\n", { "1 to 86400" } },
                { GOOD "STACK_NAME=s\n", { "STACK_NAME and STACK_RESOURCE are given together" } },
                { GOOD "STACK_RESOURCE=r\n",
                  { "STACK_NAME and STACK_RESOURCE are given together" } },
                { GOOD "X=$(reboot)\n", { ":9:3: command substitution" } },
                { GOOD "CLUSTER_NAME=c2\n",
                  { ":9: CLUSTER_NAME is set to another value in line 2" } },
                { GOOD "CLUSTER_NAME=c2\nCLUSTER_NAME=c1\n",
                  { ":10: CLUSTER_NAME is set to another value in line 9" } },
                { GOOD "OVERLAY_BACKEND=host-gw\nOVERLAY_BACKEND=vxlan\nOVERLAY_BACKEND=vxlan\n",
                  { ":11: OVERLAY_BACKEND is set to another value in line 9" } },
                { GOOD "OVERLAY_BACKEND=' vxlan'\n", { "\" vxlan\": expected no blanks around" } },
                { GOOD "KMS_KEY_ID=\"k \"\n", { "\"k \": expected no blanks around" } },
                { "KUBERNETES_ROLE=node\nMASTER_IAM_ROLE=arn:aws:iam::123456789012:role/m\n"
                  "NODE_IAM_ROLE=arn:aws-cn:iam::123456789012:role/path/n\n",
                  { ":2: MASTER_IAM_ROLE=\"arn:aws:iam::123456789012:role/m\": an ARN, expected "
                    "the "
                    "name m; ",
                    "an ARN, expected the name n" } },
                { "KUBERNETES_ROLE=master\nS3_BUCKET=arn:aws:s3:::bucket-1/pki\n"
                  "MASTER_VOLUME_ID=arn:aws:ec2:eu-west-1:1:volume/vol-0123456789abcdef0\n"
                  "STACK_RESOURCE=arn:nonsense\n",
                  { "an ARN, expected the name bucket-1; ",
                    "an ARN, expected the name vol-0123456789abcdef0; ",
                    "an ARN, expected the name nonsense" } },
                { "KUBERNETES_ROLE=master\nMASTER_VOLUM_ID=vol-0123456789abcdef0\n",
                  { ": MASTER_VOLUME_ID is missing (",
                    "); line 2 has the unknown key MASTER_VOLUM_ID: did you mean "
                    "MASTER_VOLUME_ID?" } },
                { "master_volume_id=vol-0123456789abcdef0\n",
                  { "unknown key master_volume_id: did you mean MASTER_VOLUME_ID?" } },
                { "NODE_IAM_ROLE=path/n\n", { "a role's name without its path" } },
                { "STACK_RESOURCE=Master-Group\n", { "letters and digits" } },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                _cleanup_free_ char *problems = problems_of(c->text, &err);
                for (size_t i = 0; i < 3 && c->messages[i]; i++) {
                        CHECK_CONTAINS(problems, c->messages[i]);
                }
                CHECK_CONTAINS(problems, path);
        }
}

/* The sizes are those of kube-apiserver (cmd/kube-apiserver/app/options/validation.go: mask >= 12;
 * pkg/controlplane/services.go: at least 8 addresses, and ours for DNS is the tenth) and of flannel
 * (pkg/subnet/config.go: at least four subnets of SubnetLen 24). The ranges that are nobody's:
 * https://www.iana.org/assignments/iana-ipv4-special-registry */
static void networks_fit(void)
{
        static const struct {
                const char *text, *message; /* NULL: sound */
        } cases[] = {
                { "SERVICE_NETWORK=10.96.0.0/12\n", NULL },
                { "SERVICE_NETWORK=10.96.0.0/28\n", NULL },
                { "SERVICE_NETWORK=10.96.0.0/11\n",
                  ":9: SERVICE_NETWORK=\"10.96.0.0/11\": too large, expected /12 to /28" },
                { "SERVICE_NETWORK=10.0.0.0/8\n", "too large" },
                { "SERVICE_NETWORK=10.96.0.0/29\n", "too small, expected /12 to /28" },
                { "OVERLAY_NETWORK=10.244.0.0/22\n", NULL },
                { "OVERLAY_NETWORK=11.0.0.0/8\n", NULL },
                { "OVERLAY_NETWORK=10.0.0.0/7\n",
                  ":9: OVERLAY_NETWORK=\"10.0.0.0/7\": too large, expected /8 to /22" },
                { "OVERLAY_NETWORK=10.244.0.0/23\n", "too small, expected /8 to /22" },
                { "OVERLAY_NETWORK=10.244.0.0\n", "expected a network such as" },
                { "OVERLAY_NETWORK=0.0.0.0/8\n", "overlaps 0.0.0.0/8" },
                { "OVERLAY_NETWORK=127.16.0.0/16\n", "overlaps 127.0.0.0/8" },
                { "SERVICE_NETWORK=169.254.0.0/16\n", "overlaps 169.254.0.0/16" },
                { "SERVICE_NETWORK=239.0.0.0/16\n", "overlaps 224.0.0.0/4" },
                { "OVERLAY_NETWORK=10.0.0.0/8\n",
                  ":9: OVERLAY_NETWORK=10.0.0.0/8 overlaps SERVICE_NETWORK=10.96.0.0/16 (the "
                  "default)" },
                { "SERVICE_NETWORK=10.244.0.0/16\n",
                  ":9: SERVICE_NETWORK=10.244.0.0/16 overlaps OVERLAY_NETWORK=10.244.0.0/16 (the "
                  "default)" },
                { "OVERLAY_NETWORK=10.32.0.0/16\nSERVICE_NETWORK=10.32.128.0/20\n",
                  ":9: OVERLAY_NETWORK=10.32.0.0/16 overlaps SERVICE_NETWORK=10.32.128.0/20 of "
                  "line "
                  "10" },
                { "OVERLAY_NETWORK=172.20.0.0/16\n",
                  ":9: OVERLAY_NETWORK=172.20.0.0/16 overlaps MASTER_PRIVATE_IP=172.20.128.9 of "
                  "line 6" },
                { "SERVICE_NETWORK=172.20.0.0/16\n", "overlaps MASTER_PRIVATE_IP=172.20.128.9" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_free_ char *text = string_format(GOOD "%s", c->text);
                Error err = {};
                if (!c->message) {
                        _cleanup_stack_config_ StackConfig config = {};
                        CHECK_OK(load(text, &config, NULL, &err), err);

                        CHECK_INT(stack_config_line(&config, c->text[0] == 'S' ? "SERVICE_NETWORK"
                                                                               : "OVERLAY_NETWORK"),
                                  9);
                        CHECK_INT(stack_config_line(&config, "CLUSTER_DOMAIN"), 0);
                        continue;
                }
                _cleanup_free_ char *problems = problems_of(text, &err);
                CHECK_CONTAINS(problems, c->message);
                CHECK_CONTAINS(problems, path);
        }
        static const char *const addresses[][2] = {
                { "10.244.1.9", ":1: MASTER_PRIVATE_IP=10.244.1.9 overlaps OVERLAY_NETWORK=" },
                { "10.96.0.1", ":1: MASTER_PRIVATE_IP=10.96.0.1 overlaps SERVICE_NETWORK=" },
                { "127.0.0.1", "\"127.0.0.1\": lies in 127.0.0.0/8" },
                { "169.254.169.254", "lies in 169.254.0.0/16" },
                { "0.0.0.0", "lies in 0.0.0.0/8" },
                { "224.0.0.1", "lies in 224.0.0.0/4" },
        };
        FOREACH_ARRAY(a, addresses, ELEMENTS(addresses)) {
                _cleanup_free_ char *text = string_format("MASTER_PRIVATE_IP=%s\n", (*a)[0]);
                Error err = {};
                _cleanup_free_ char *problems = problems_of(text, &err);
                CHECK_CONTAINS(problems, (*a)[1]);
        }
}

/* https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html and what its console proposes.
 */
static void defaults_overlap_no_common_vpc(void)
{
        static const char *const common[] = { "172.31.0.0/16", "10.0.0.0/16", "192.168.0.0/16",
                                              "172.16.0.0/16" };
        _cleanup_stack_config_ StackConfig config = {};
        _cleanup_string_list_ StringList problems = {};
        Error err = {};
        CHECK_OK(load(GOOD, &config, NULL, &err), err);
        FOREACH_ARRAY(c, common, ELEMENTS(common)) {
                Network vpc;
                CHECK_INT(network_parse(*c, &vpc), 0);
                CHECK_INT(networks_check_vpc(path, &config, &vpc, 1, &problems), 0);
        }
        CHECK_INT(problems.n, 0);
}

static void networks_are_compared_with_the_vpc(void)
{
        static const char *const blocks[] = { "10.96.0.0/20", "100.64.0.0/10", "10.244.7.0/24" };
        Network networks[ELEMENTS(blocks)];
        _cleanup_stack_config_ StackConfig config = {};
        _cleanup_string_list_ StringList problems = {};
        Error err = {};
        for (size_t i = 0; i < ELEMENTS(blocks); i++) {
                CHECK_INT(network_parse(blocks[i], &networks[i]), 0);
        }
        CHECK_OK(load(GOOD "OVERLAY_NETWORK=10.244.0.0/18\n", &config, NULL, &err), err);
        CHECK_INT(networks_check_vpc("F", &config, networks, ELEMENTS(networks), &problems), 0);
        CHECK_INT(problems.n, 2);
        CHECK_STR(problems.n == 2 ? problems.items[0] : NULL,
                  "F:9: OVERLAY_NETWORK=10.244.0.0/18 overlaps 10.244.7.0/24 of the VPC: addresses "
                  "there could not be reached");
        CHECK_STR(problems.n == 2 ? problems.items[1] : NULL,
                  "F: SERVICE_NETWORK=10.96.0.0/16 (the default) overlaps 10.96.0.0/20 of the VPC: "
                  "addresses there could not be reached");
}

static void warnings_are_told_also_of_a_wrong_file(void)
{
        static const struct {
                const char *text, *warning;
        } cases[] = {
                { GOOD "CLUSTER_NAME=c1\n", ":9: CLUSTER_NAME is set to the same value in line 2" },
                { "\xef\xbb\xbf" GOOD, ":1: the file begins with a UTF-8 byte order mark" },
                { GOOD "OVERLAY_NETWROK=10.32.0.0/16\n",
                  ":9: unknown key OVERLAY_NETWROK: did you mean OVERLAY_NETWORK?" },
                { GOOD "api_dns_name=x\n", "did you mean API_DNS_NAME?" },
                { GOOD "POD_CIDRR=10.32.0.0/16\n", ":9: unknown key POD_CIDRR" },
                { "POD_CIDRR=10.32.0.0/16\n", ":1: unknown key POD_CIDRR" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_stack_config_ StackConfig config = {};
                _cleanup_string_list_ StringList warnings = {};
                Error err = {};
                _cleanup_string_list_ StringList problems = {};
                (void) load(c->text, &config, NULL, &err); /* writes it; is beside the point */
                stack_config_done(&config);
                CHECK_INT(stack_config_check(path, &config, &problems, &warnings, &err),
                          c->text[0] != 'P');

                CHECK_INT(warnings.n, 1);
                CHECK_CONTAINS(warnings.n ? warnings.items[0] : "", c->warning);
        }
}

/* An ARN is a name to AWS where these go. */
static void arns_are_taken_where_they_are_names(void)
{
        _cleanup_stack_config_ StackConfig config = {};
        Error err = {};
        CHECK_OK(load(GOOD "KMS_KEY_ID=arn:aws:kms:us-east-1:1:key/k\n"
                           "STACK_NAME=arn:aws-eusc:cloudformation:eusc-de-east-1:1:stack/s/u\n"
                           "STACK_RESOURCE=Nodes\n",
                      &config, NULL, &err),
                 err);
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
        test_case("stack_config: networks that Kubernetes and flannel can work with", networks_fit);
        test_case("stack_config: defaults beside a common VPC", defaults_overlap_no_common_vpc);
        test_case("stack_config: networks beside the VPC's", networks_are_compared_with_the_vpc);
        test_case("stack_config: warnings, of a wrong file too",
                  warnings_are_told_also_of_a_wrong_file);
        test_case("stack_config: ARNs that are names", arns_are_taken_where_they_are_names);
        test_case("stack_config: a missing file is explained", load_explains_a_missing_file);
        test_case("stack_config: the stack, of any file", stack_is_found_in_any_file);
        test_case("stack_config: conf/stack-config.sh agrees", sample_agrees_with_table);
        test_case("stack_config: stack-config.sh(5) agrees", manual_agrees_with_table);
        return test_done();
}
