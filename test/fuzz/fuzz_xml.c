/* SPDX-License-Identifier: Apache-2.0 */

/* AWS's XML, and every reply of EC2 and S3 that is read from it. */

#include <stdint.h>
#include <stdlib.h>

#include "aws/ec2_internal.h"
#include "aws/errors.h"
#include "aws/xml.h"
#include "cluster/node_name.h"

static void check_error(const uint8_t *data, size_t n)
{
        HttpReply reply = { .status = 400 };
        Error err = {};
        if (buffer_append(&reply.body, data, n) < 0) {
                abort();
        }
        if (errors_from_reply(&reply, "ec2", "AttachVolume", "vol-1", &err) >= 0 ||
            !memchr(err.message, '\0', sizeof(err.message)) ||
            !memchr(err.aws_code, '\0', sizeof(err.aws_code))) {
                abort();
        }
        for (const char *p = err.message; *p; p++) {
                if ((unsigned char) *p < ' ' || *p == 0x7f) {
                        abort(); /* it goes to a terminal */
                }
        }
        http_reply_done(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static Ec2Interface interfaces[2];
        static const char *const ids[] = { "eni-0123456789abcdef0", "eni-0123456789abcdef1" };
        XmlNode *root = NULL;
        static const char *const names[] = { "ip-1.ec2.internal", "ip-2.ec2.internal" };
        Ec2Instance instances[2];
        Ec2Volume volume;
        Ec2Address address;
        char state[24], name[NODE_NAME_MAX + 1];

        check_error(data, n);
        if (xml_parse((const char *) data, n, &root, ERROR_IGNORED) < 0) {
                return 0;
        }
        if (!root || !root->name || !root->text || root->next) {
                abort();
        }
        if (ec2_parse_volume(root, "vol-0123456789abcdef0", &volume, ERROR_IGNORED) == 0 &&
            (!volume.state[0] || (volume.attached && !volume.attachment.instance_id[0]))) {
                abort();
        }
        if (ec2_parse_instance_state(root, state, ERROR_IGNORED) == 1 && !state[0]) {
                abort();
        }
        if (ec2_parse_named_instances(root, names, 2, instances, ERROR_IGNORED) == 0 &&
            (instances[0].other_domain || *instances[0].state) && !*instances[0].instance_id) {
                abort();
        }
        (void) ec2_parse_interfaces(root, ids, 2, interfaces, ERROR_IGNORED);
        if (ec2_parse_first_interface(root, interfaces, ERROR_IGNORED) == 1 &&
            interfaces[0].n_addresses > EC2_ADDRESSES_MAX) {
                abort();
        }
        if (node_name_from_ec2(interfaces[0].private_dns_name, name, ERROR_IGNORED) == 0 &&
            !node_name_is_valid(name, strlen(name))) {
                abort();
        }
        (void) ec2_parse_address(root, "eipalloc-0123456789abcdef0", &address, ERROR_IGNORED);
        (void) ec2_parse_return(root, ERROR_IGNORED);
        xml_free(root);
        return 0;
}
