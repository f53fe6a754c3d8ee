/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aws/imds.h"
#include "aws/imds_internal.h"

/* The networks of a VPC, as the instance metadata service names them: one a line.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-metadata.html */

int imds_parse_networks(const char *text, size_t n, Network ret[IMDS_VPC_NETWORKS_MAX],
                        size_t *ret_n, Error *err)
{
        size_t found = 0;
        for (size_t at = 0; at < n;) {
                const char *line = text + at, *end = memchr(line, '\n', n - at);
                size_t length = end ? (size_t) (end - line) : n - at;
                char word[NETWORK_TEXT_MAX];
                at += length + 1;
                if (length == 0) {
                        continue;
                }
                if (found == IMDS_VPC_NETWORKS_MAX) {
                        return error_set(err, ERROR_CONFIG, E2BIG,
                                         "instance metadata: the VPC has more than %d IPv4 "
                                         "networks",
                                         IMDS_VPC_NETWORKS_MAX);
                }
                if (!imds_copy_word(line, length, word, sizeof(word)) ||
                    network_parse(word, &ret[found]) != 0) {
                        return error_from_aws(
                                err, error_set(err, ERROR_CONFIG, EBADMSG,
                                               "instance metadata: vpc-ipv4-cidr-blocks has a "
                                               "line that is no network"));
                }
                found++;
        }
        *ret_n = found;
        return 0;
}

int imds_vpc_networks(Imds *imds, const char *mac, const Wait *wait,
                      Network ret[IMDS_VPC_NETWORKS_MAX], size_t *ret_n, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        char path[96];
        (void) snprintf(path, sizeof(path),
                        "meta-data/network/interfaces/macs/%s/vpc-ipv4-cidr-blocks", mac);
        int r = imds_get(imds, path, wait, &text, err);
        if (r < 0) {
                return r;
        }
        return imds_parse_networks(strempty(text.data), text.size, ret, ret_n, err);
}
