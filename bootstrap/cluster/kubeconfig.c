/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kubeconfig.h"

#include "base/base64.h"
#include "cluster/document.h"

/* Returns the bytes as base64 text, or NULL when out of memory. */
static json_t *embedded(const Buffer *bytes)
{
        _cleanup_secret_ Secret text = SECRET_INIT;
        return base64_encode(bytes->data, bytes->size, &text) < 0 ? NULL : json_string(text.data);
}

/* Takes ownership of endpoint and credentials, which are NULL when out of memory. */
static int format(const char *cluster, json_t *endpoint, const char *user, json_t *credentials,
                  Secret *ret, Error *err)
{
        json_auto_t *config = json_pack(
                "{s:s, s:s, s:s, s:[{s:s, s:{s:s, s:s}}], s:[{s:s, s:o}], s:[{s:s, s:o}]}",
                "apiVersion", "v1", "kind", "Config", "current-context", cluster, "contexts",
                "name", cluster, "context", "cluster", cluster, "user", user, "clusters", "name",
                cluster, "cluster", endpoint, "users", "name", user, "user", credentials);
        return document_dump(config, ret, err);
}

int kubeconfig_format(const Kubeconfig *config, Secret *ret, Error *err)
{
        json_t *endpoint = json_pack("{s:s, s:o}", "server", config->server,
                                     "certificate-authority-data", embedded(config->authority_pem));
        json_t *credentials = json_pack("{s:o, s:o}", "client-certificate-data",
                                        embedded(config->certificate_pem), "client-key-data",
                                        embedded(config->key_pem));
        return format(config->cluster, endpoint, config->user, credentials, ret, err);
}

int kubeconfig_format_files(const char *server, const char *authority_file, const char *user,
                            const char *credentials_file, Buffer *ret, Error *err)
{
        json_t *endpoint =
                json_pack("{s:s, s:s}", "server", server, "certificate-authority", authority_file);
        json_t *credentials = json_pack("{s:s, s:s}", "client-certificate", credentials_file,
                                        "client-key", credentials_file);
        return format("kubernetes", endpoint, user, credentials, ret, err);
}
