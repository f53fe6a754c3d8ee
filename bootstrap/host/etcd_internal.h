/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of etcd's JSON gateway, for host/etcd.c alone. */

#include <jansson.h>

#include "host/etcd.h"
#include "host/grpc.h"

#define ETCD_TEXT_MAX 256

/* etcd's error texts (api/v3rpc/rpctypes/error.go), the same in 3.4 and 3.5. */
#define ETCD_SAYS_NO_USER     "user name not found"
#define ETCD_SAYS_NO_ROLE     "role name not found"
#define ETCD_SAYS_USER_EXISTS "user name already exists"
#define ETCD_SAYS_ROLE_EXISTS "role name already exists"
#define ETCD_SAYS_WRONG_LOGIN "invalid user ID or password"
#define ETCD_SAYS_AUTH_OFF    "authentication is not enabled"
#define ETCD_SAYS_NOBODY      "user name is empty"
#define ETCD_SAYS_BAD_TOKEN   "invalid auth token"
#define ETCD_SAYS_OLD_TOKEN   "revision of auth store is old"

/* A reply of the gateway: a success, or a failure with a gRPC code and a text. */
typedef struct EtcdAnswer {
        json_t *json;
        int code;
        int status; /* HTTP's */
        char text[ETCD_TEXT_MAX];
} EtcdAnswer;

void etcd_answer_done(EtcdAnswer *answer);
#define _cleanup_etcd_answer_ _cleanup_(etcd_answer_done)

/* Returns true if the answer is a failure whose text contains `text`. */
bool etcd_says(const EtcdAnswer *answer, const char *text);

/* Returns the bytes as a member of a request's body, in base64, or NULL when out of memory. */
json_t *etcd_bytes(const void *data, size_t n);

/* Appends the decoded bytes of a reply's member to *ret (none if it is absent). Returns 0, -EBADMSG
 * or -ENOMEM. */
int etcd_decode(const json_t *json, Buffer *ret);

/* Sends one request to /v3/PATH. Returns 0 once there is an answer, success or failure. A NULL body
 * means that the caller had no memory for it: -ENOMEM. */
int etcd_post(const EtcdClient *client, const char *path, const json_t *body, bool with_token,
              const Wait *wait, EtcdAnswer *ret, Error *err);

/* Like etcd_post(), with a token if the client has a user. If the token is stale, gets a new one
 * and retries once. A token becomes invalid after some time, after a restart of etcd, and after
 * each change of users or roles. */
int etcd_call(EtcdClient *client, const char *path, const json_t *body, const Wait *wait,
              EtcdAnswer *ret, Error *err);

/* Like etcd_call(), but a failure is an error unless its text contains `forgiven` (may be NULL).
 * ret may be NULL. */
int etcd_demand(EtcdClient *client, const char *path, const json_t *body, const char *forgiven,
                const Wait *wait, EtcdAnswer *ret, Error *err);

/* Returns the error of a failed answer. */
int etcd_failed(const EtcdAnswer *answer, const char *path, Error *err);
