/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "base/secret.h"
#include "base/string.h"

#define KUBECONFIG_SERVER "https://%s:443" /* the API server at an address */

/* Kubeconfigs of one cluster and one user, appended as JSON. kubectl, kubelet and other programs
 * read them as YAML, and every JSON text is YAML.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ */

/* A kubeconfig with everything embedded. The user has a client certificate. */
typedef struct Kubeconfig {
        const char *cluster; /* name of the cluster, and of the context */
        const char *server;  /* https://… */
        const char *user;
        const Buffer *authority_pem;
        const Buffer *certificate_pem;
        const Secret *key_pem;
} Kubeconfig;

int kubeconfig_format(const Kubeconfig *config, Secret *ret, Error *err);

/* A kubeconfig that names files, whose readers see a renewed certificate: credentials_file has the
 * user's certificate and its key, both in PEM. It holds no secret. */
int kubeconfig_format_files(const char *server, const char *authority_file, const char *user,
                            const char *credentials_file, Buffer *ret, Error *err);
