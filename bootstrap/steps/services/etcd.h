/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/secret.h"
#include "host/etcd.h"
#include "steps/boot.h"

#define ETCD_URL "https://%s:2379" /* of an address */

/* A connection to the cluster's etcd with this machine's certificate for it. The gateway goes by
 * user and password, so with authentication on it takes one of those besides. */
typedef struct EtcdSession {
        char endpoint[64];
        Secret certificate, key, password;
        EtcdClient client;
} EtcdSession;

/* user and password_file NULL: without authentication (health). *ret must be zero. Makes no
 * request. */
int etcd_open(const Boot *boot, const char *user, const char *password_file, EtcdSession *ret,
              Error *err);
void etcd_session_done(EtcdSession *session);
#define _cleanup_etcd_session_ _cleanup_(etcd_session_done)

/* Whether this volume's etcd has ever been healthy, as cluster-identity.json tells: 1 or 0. Where
 * it has, and its data is not there, etcd would begin an empty cluster in the place of the lost
 * one: ERROR_UNSAFE. */
int etcd_look_at_data(const Boot *boot, Error *err);
/* Writes down that it has been. */
int etcd_mark_data(Error *err);
