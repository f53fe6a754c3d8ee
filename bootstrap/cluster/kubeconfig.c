/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kubeconfig.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base64.h"

/* Nothing that could end the quotes. They are needed: a cluster may be called "123" or "true". */
static bool is_plain(const char *s)
{
        return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               ".:/-") == strlen(s);
}

static int append_data(const char *key, const Buffer *bytes, Secret *ret, Error *err)
{
        if (buffer_append_format(ret, "    %s: ", key) < 0) {
                return error_oom(err);
        }
        return base64_encode(bytes->data, bytes->size, ret) < 0 ||
                               buffer_append_string(ret, "\n") < 0
                       ? error_oom(err)
                       : 0;
}

int kubeconfig_format(const Kubeconfig *config, Secret *ret, Error *err)
{
        if (!is_plain(config->cluster) || !is_plain(config->server) || !is_plain(config->user)) {
                return error_set(err, ERROR_FATAL, EINVAL,
                                 "kubeconfig of user \"%s\" on cluster \"%s\": not plain names",
                                 config->user, config->cluster);
        }
        if (buffer_append_format(ret,
                                 "apiVersion: v1\n"
                                 "kind: Config\n"
                                 "current-context: \"%s\"\n"
                                 "contexts:\n"
                                 "- name: \"%s\"\n"
                                 "  context:\n"
                                 "    cluster: \"%s\"\n"
                                 "    user: \"%s\"\n"
                                 "clusters:\n"
                                 "- name: \"%s\"\n"
                                 "  cluster:\n"
                                 "    server: \"%s\"\n",
                                 config->cluster, config->cluster, config->cluster, config->user,
                                 config->cluster, config->server) < 0) {
                return error_oom(err);
        }
        int r = append_data("certificate-authority-data", config->authority_pem, ret, err);
        if (r < 0) {
                return r;
        }
        if (buffer_append_format(ret, "users:\n- name: \"%s\"\n  user:\n", config->user) < 0) {
                return error_oom(err);
        }
        r = append_data("client-certificate-data", config->certificate_pem, ret, err);
        return r < 0 ? r : append_data("client-key-data", config->key_pem, ret, err);
}
