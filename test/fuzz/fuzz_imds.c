/* SPDX-License-Identifier: Apache-2.0 */

/* What the instance metadata service says: the role's credentials document and the parts of an
 * identity. */

#include <stdint.h>
#include <stdlib.h>

#include "aws/imds_internal.h"

static void check_credentials(const char *text, size_t n)
{
        AwsKeys keys = {};
        Error err = {};
        if (imds_parse_credentials(text, n, &keys, &err) == 0) {
                if (!keys.access_key_id[0] || keys.secret_access_key.size == 0 ||
                    strpbrk(keys.access_key_id, "/ \r\n") ||
                    (keys.session_token.size > 0 && strpbrk(keys.session_token.data, " \r\n"))) {
                        abort();
                }
        } else if (keys.access_key_id[0] || keys.secret_access_key.data) {
                abort(); /* a failure leaves nothing behind */
        }
        aws_keys_done(&keys);
}

static void check_words(const char *text, size_t n)
{
        static bool (*const checks[])(const char *) = {
                imds_is_instance_id, imds_is_interface_id, imds_is_mac,       imds_is_ipv4,
                imds_is_ipv4_cidr,   imds_is_host_name,    imds_is_role_name,
        };
        char word[128];
        (void) imds_is_markup(text, n);
        if (!imds_copy_word(text, n, word, sizeof(word))) {
                return;
        }
        FOREACH_ARRAY(check, checks, ELEMENTS(checks)) {
                if ((*check)(word) && strpbrk(word, " \r\n\"'\\$`;|&<>")) {
                        abort(); /* none of them may carry what a shell or a header would read */
                }
        }
        (void) imds_is_zone_of(word, "us-east-1");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        ImdsInterface interfaces[IMDS_INTERFACES_MAX] = {};
        size_t n_interfaces = 0;
        /* As the reply's buffer is: terminated. */
        char *text = malloc(n + 1);
        if (!text) {
                abort();
        }
        if (n > 0) {
                memcpy(text, data, n);
        }
        text[n] = '\0';
        check_credentials(text, n);
        check_words(text, n);
        Network networks[IMDS_VPC_NETWORKS_MAX];
        size_t n_networks = 0;
        if (imds_parse_networks(text, n, networks, &n_networks, ERROR_IGNORED) == 0 &&
            n_networks > IMDS_VPC_NETWORKS_MAX) {
                abort();
        }
        if (imds_parse_macs(text, n, interfaces, &n_interfaces, ERROR_IGNORED) == 0) {
                for (size_t i = 0; i < n_interfaces; i++) {
                        if (!imds_is_mac(interfaces[i].mac)) {
                                abort();
                        }
                }
        }
        free(text);
        return 0;
}
