/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/secret.h"
#include "host/etcd.h"
#include "steps/boot.h"

#define ETCD_URL "https://%s:2379" /* of an address */

/* A connection to the cluster's etcd with this machine's certificate for it. The gateway knows a
 * client by user and password, so once authentication is on, these are needed as well. */
typedef struct EtcdSession {
        char endpoint[64];
        Secret certificate, key, password;
        EtcdClient client;
} EtcdSession;

/* Reads the credentials; makes no request. With user and password_file NULL there is no
 * authentication (health). *ret must be zero. */
int etcd_open(const Boot *boot, const char *user, const char *password_file, EtcdSession *ret,
              Error *err);
void etcd_session_done(EtcdSession *session);
#define _cleanup_etcd_session_ _cleanup_(etcd_session_done)

/* Returns 1 if this volume's etcd has ever been healthy, as cluster-identity.json tells, else 0.
 * ERROR_UNSAFE if it has been and its data is missing: etcd would begin an empty cluster in place
 * of the lost one. */
int etcd_look_at_data(const Boot *boot, Error *err);
/* Records in cluster-identity.json that etcd has been healthy. */
int etcd_mark_data(Error *err);
