/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "base/secret.h"
#include "base/string.h"

#define KUBECONFIG_SERVER "https://%s:443" /* the API server at an address */

/* A kubeconfig with everything embedded: one cluster, one user with a client certificate.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ */
typedef struct Kubeconfig {
        const char *cluster; /* name of the cluster, and of the context */
        const char *server;  /* https://… */
        const char *user;
        const Buffer *authority_pem;
        const Buffer *certificate_pem;
        const Secret *key_pem;
} Kubeconfig;

/* Appended, as YAML. Names and server consist of letters, digits and ". : / -"
 * only, else ERROR_FATAL. */
int kubeconfig_format(const Kubeconfig *config, Secret *ret, Error *err);
