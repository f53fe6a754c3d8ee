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

/* A client for etcd v3 through its JSON gateway (/v3/, etcd 3.4 and later).
 * https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
 * Once authentication is on, the gateway knows a client by name and password only: the client
 * requests a token first and sends it with each call. The gateway then refuses a client certificate
 * with a common name (status 400). So the certificate given here has none, and the server's
 * certificate, which the gateway itself presents, has none either. */

typedef struct EtcdClient {
        const char *endpoint; /* https://127.0.0.1:2379 */
        HttpTls tls;
        const char *user; /* NULL: without authentication */
        const char *password;
        Secret token; /* filled at the first authenticated call; etcd_client_done() wipes it */
} EtcdClient;

void etcd_client_done(EtcdClient *client);
#define _cleanup_etcd_client_ _cleanup_(etcd_client_done)

/* Sends GET /health. Returns 1 if the reply says "true", 0 if it says otherwise or nobody
 * listens. */
int etcd_is_healthy(EtcdClient *client, const Wait *wait, Error *err);

/* Appends the value of a key to *ret. Returns 1, or 0 if there is no such key. */
int etcd_get(EtcdClient *client, const char *key, const Wait *wait, Buffer *ret, Error *err);

typedef int EtcdVisit(const char *key, const char *value, void *userdata, Error *err);
/* Visits all keys below a prefix. More than 5000 keys are ERROR_FATAL. Stops when visit fails. */
int etcd_list(EtcdClient *client, const char *prefix, const Wait *wait, EtcdVisit *visit,
              void *userdata, Error *err);

int etcd_put(EtcdClient *client, const char *key, const char *value, const Wait *wait, Error *err);

/* Make a role or a user if there is none, and grant what is missing; what exists stays, a password
 * too. With range_end NULL the permission is for one key; with key NULL the role gets no
 * permission; permission is "READ", "WRITE" or "READWRITE". A user without a password is known by
 * certificate name. Before authentication can be enabled, a user "root" must have the role
 * "root". */
int etcd_role_ensure(EtcdClient *client, const char *role, const char *key, const char *range_end,
                     const char *permission, const Wait *wait, Error *err);
int etcd_user_ensure(EtcdClient *client, const char *user, const char *password, const char *role,
                     const Wait *wait, Error *err);
/* Returns 1 if authentication is enabled, 0 if it is disabled. */
int etcd_auth_is_enabled(EtcdClient *client, const Wait *wait, Error *err);
int etcd_auth_enable(EtcdClient *client, const Wait *wait, Error *err);
