/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/string.h"
#include "base/wait.h"
#include "host/http.h"

/* etcd v3 through its JSON gateway (/v3/, etcd 3.4 and later).
 * https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
 * Once authentication is on, the gateway knows a client by name and password alone: it asks for a
 * token first and sends it along. A client certificate with a common name is then refused (status
 * 400), so the one given here has none, like the server's, which the gateway itself presents. */

typedef struct EtcdClient {
        const char *endpoint; /* https://127.0.0.1:2379 */
        HttpTls tls;
        const char *user; /* NULL: without authentication */
        const char *password;
        Secret token; /* filled at the first authenticated call; etcd_client_done() wipes it */
} EtcdClient;

void etcd_client_done(EtcdClient *client);
#define _cleanup_etcd_client_ _cleanup_(etcd_client_done)

/* GET /health says "true": 1; says otherwise or nobody listens: 0. */
int etcd_is_healthy(EtcdClient *client, const Wait *wait, Error *err);

/* Value of a key: 1 and *ret filled (appended), 0 if there is no such key. */
int etcd_get(EtcdClient *client, const char *key, const Wait *wait, Buffer *ret, Error *err);

typedef int EtcdVisit(const char *key, const char *value, void *userdata, Error *err);
/* All keys below a prefix (at most 5000, else ERROR_FATAL); stops when visit fails. */
int etcd_list(EtcdClient *client, const char *prefix, const Wait *wait, EtcdVisit *visit,
              void *userdata, Error *err);

int etcd_put(EtcdClient *client, const char *key, const char *value, const Wait *wait, Error *err);

/* Users and roles (idempotent: what is there already is left, a password too). range_end NULL: the
 * one key; key NULL: a role without a permission; permission "READ", "WRITE" or "READWRITE". A user
 * without a password is known by certificate name. Before authentication can be enabled, a user
 * "root" must have the role "root". */
int etcd_role_ensure(EtcdClient *client, const char *role, const char *key, const char *range_end,
                     const char *permission, const Wait *wait, Error *err);
int etcd_user_ensure(EtcdClient *client, const char *user, const char *password, const char *role,
                     const Wait *wait, Error *err);
/* 1 enabled, 0 disabled. */
int etcd_auth_is_enabled(EtcdClient *client, const Wait *wait, Error *err);
int etcd_auth_enable(EtcdClient *client, const Wait *wait, Error *err);
