/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/query.h"

#include <errno.h>
#include <stdio.h>

#include "aws/sigv4.h"
#include "base/cleanup.h"
#include "base/string.h"

static int format_body(const QueryApi *api, const char *operation, const QueryParameter *parameters,
                       size_t n, Buffer *ret)
{
        int r = buffer_append_format(ret, "Action=%s&Version=%s", operation, api->version);
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(parameter, parameters, n) {
                r = buffer_append_format(ret, "&%s=", parameter->name);
                if (r < 0) {
                        return r;
                }
                r = sigv4_uri_encode(parameter->value, false, ret);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

/* Refuses a reply whose root element is not named "…Response". The page of a proxy may be
 * well-formed XML too, and must not be taken for AWS's answer, least of all for a success. */
static int check_answer(const QueryApi *api, const XmlNode *root, Error *err)
{
        return string_ends_with(root->name, "Response")
                       ? 0
                       : error_set(err, ERROR_RETRY, EBADMSG, "the reply is <%.32s>, not %s's",
                                   root->name, api->service);
}

int query_call(AwsClient *client, const QueryApi *api, const char *operation, const char *resource,
               const QueryParameter *parameters, size_t n, const Wait *wait, XmlNode **ret,
               Error *err)
{
        Endpoint endpoint;
        _cleanup_buffer_ Buffer body = {};
        int r = aws_client_endpoint(client, api->service, NULL, &endpoint, err);
        if (r < 0) {
                return r;
        }
        if (format_body(api, operation, parameters, n, &body) < 0) {
                return error_oom(err);
        }
        char url[ENDPOINT_MAX + 1], name[] = "Content-Type",
                                    type[] = "application/x-www-form-urlencoded; charset=utf-8";
        const HttpHeader header = { name, type };
        (void) snprintf(url, sizeof(url), "%s/", endpoint.url);
        const AwsCall call = {
                .service = api->service,
                .operation = operation,
                .resource = resource,
                .method = "POST",
                .url = url,
                .headers = &header,
                .n_headers = 1,
                .body = body.data,
                .body_size = body.size,
        };
        _cleanup_http_reply_ HttpReply reply = {};
        r = aws_client_call(client, &call, wait, &reply, err);
        if (r < 0) {
                return r;
        }
        _cleanup_xml_ XmlNode *root = NULL;
        r = xml_parse(reply.body.data, reply.body.size, &root, err);
        if (r >= 0) {
                r = check_answer(api, root, err);
        }
        if (r < 0) {
                return error_prefix(err, "%s:%s", api->service, operation);
        }
        *ret = TAKE(root);
        return 0;
}
