/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of etcd's JSON gateway, for host/etcd.c alone. */

#include <jansson.h>

#include "host/etcd.h"

#define ETCD_TEXT_MAX 256

/* https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
enum {
        GRPC_OK = 0,
        GRPC_UNKNOWN = 2,
        GRPC_DEADLINE_EXCEEDED = 4,
        GRPC_PERMISSION_DENIED = 7,
        GRPC_RESOURCE_EXHAUSTED = 8,
        GRPC_UNIMPLEMENTED = 12,
        GRPC_INTERNAL = 13,
        GRPC_UNAVAILABLE = 14,
        GRPC_UNAUTHENTICATED = 16,
};

/* What etcd says (api/v3rpc/rpctypes/error.go), the same in 3.4 and 3.5. */
#define ETCD_SAYS_NO_USER     "user name not found"
#define ETCD_SAYS_NO_ROLE     "role name not found"
#define ETCD_SAYS_USER_EXISTS "user name already exists"
#define ETCD_SAYS_ROLE_EXISTS "role name already exists"
#define ETCD_SAYS_WRONG_LOGIN "invalid user ID or password"
#define ETCD_SAYS_AUTH_OFF    "authentication is not enabled"
#define ETCD_SAYS_NOBODY      "user name is empty"
#define ETCD_SAYS_BAD_TOKEN   "invalid auth token"
#define ETCD_SAYS_OLD_TOKEN   "revision of auth store is old"

/* A reply of the gateway: of success, or with a gRPC code and a text. */
typedef struct EtcdAnswer {
        json_t *json;
        int code;
        int status; /* HTTP's */
        char text[ETCD_TEXT_MAX];
} EtcdAnswer;

void etcd_answer_done(EtcdAnswer *answer);
#define _cleanup_etcd_answer_ _cleanup_(etcd_answer_done)

/* Whether it is a failure with that text. */
bool etcd_says(const EtcdAnswer *answer, const char *text);

/* The bytes as a member of a body has them, in base64; NULL when out of memory. */
json_t *etcd_bytes(const void *data, size_t n);

/* The bytes of a member of a reply (absent: none), appended to *ret; 0, -EBADMSG or -ENOMEM. */
int etcd_decode(const json_t *json, Buffer *ret);

/* One request to /v3/PATH: 0 once there is an answer, of success or not. A body that is NULL could
 * not be made: -ENOMEM. */
int etcd_post(const EtcdClient *client, const char *path, const json_t *body, bool with_token,
              const Wait *wait, EtcdAnswer *ret, Error *err);

/* As etcd_post(), with a token where the client has a user, and with a new one where it is stale:
 * tokens end with their time, with a restart of etcd, and with each change of users or roles. */
int etcd_call(EtcdClient *client, const char *path, const json_t *body, const Wait *wait,
              EtcdAnswer *ret, Error *err);

/* As etcd_call(), and a failure is an error, but for one whose text has `forgiven` (may be NULL).
 * ret may be NULL. */
int etcd_demand(EtcdClient *client, const char *path, const json_t *body, const char *forgiven,
                const Wait *wait, EtcdAnswer *ret, Error *err);

/* The error of an answer that is a failure. */
int etcd_failed(const EtcdAnswer *answer, const char *path, Error *err);
