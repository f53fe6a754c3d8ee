/* SPDX-License-Identifier: Apache-2.0 */
#include "imds_world.h"

#include <stdlib.h>

static const struct {
        const char *path, *value;
} metadata[] = {
        { "meta-data/instance-id", INSTANCE },
        { "meta-data/placement/region", "us-east-1" },
        { "meta-data/placement/availability-zone", ZONE },
        { "meta-data/services/partition", "aws" },
        { "meta-data/services/domain", "amazonaws.com" },
        { "meta-data/local-ipv4", "172.20.128.10" },
        { "meta-data/local-hostname", "ip-172-20-128-10.Corp.Example_COM" },
        { "meta-data/iam/security-credentials/", "kb-master" },
        { "dynamic/instance-identity/document", "{\"accountId\":\"123456789012\"}" },
        { "meta-data/mac", "0a:00:00:00:00:02" },
        { MACS, "0a:00:00:00:00:01/\n0a:00:00:00:00:02/" },
        { CARDS_MAC "interface-id", CARD },
        { ENIS_MAC "interface-id", ENI },
        { ENIS_MAC "subnet-ipv4-cidr-block", "172.20.128.0/20" },
};

char *imds_answer_path(const char *request, const char *path, const char *value)
{
        char line[128];
        (void) snprintf(line, sizeof(line), "GET /2021-07-15/%s HTTP/1.1\r\n", path);
        return string_starts_with(request, line)
                       ? make_reply("200 OK", "Content-Type: text/plain\r\n", value)
                       : NULL;
}

char *imds_answer(const char *request)
{
        if (string_starts_with(request, "PUT ")) {
                return make_reply("200 OK", "", "token");
        }
        if (!string_starts_with(request, "GET ")) {
                return NULL;
        }
        FOREACH_ARRAY(row, metadata, ELEMENTS(metadata)) {
                char *reply = imds_answer_path(request, row->path, row->value);
                if (reply) {
                        return reply;
                }
        }
        return make_reply("404 Not Found", "", "");
}

void start_world_with_imds(void)
{
        static char role[] = "kb-master", node_role[] = "kb-node", bucket[] = "bucket-1";
        start_world();
        (void) setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", getenv("AWS_ENDPOINT_URL_EC2"), 1);
        (void) setenv("AWS_ENDPOINT_URL_S3", getenv("AWS_ENDPOINT_URL_EC2"), 1);
        boot.config = (StackConfig) { .role = ROLE_MASTER,
                                      .master_iam_role = role,
                                      .node_iam_role = node_role,
                                      .s3_bucket = bucket };
}

void end_world_with_imds(void)
{
        server_reset(&server, NULL);
        s3_bucket_free(boot.bucket);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        imds_free(boot.imds);
        http_done();
}
