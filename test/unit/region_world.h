/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The simulated region that test/integration/region/test_aws.py has started: what is in it, and its
 * control API, by which a test makes calls fail. */

#include <jansson.h>

#include "aws/client.h"
#include "aws/ec2.h"
#include "aws/imds.h"
#include "aws/s3.h"
#include "harness.h"
#include "host/http.h"

DEFINE_CLEANUP(Imds *, imds_free);
DEFINE_CLEANUP(AwsClient *, aws_client_free);
DEFINE_CLEANUP(Credentials *, credentials_free);

#define _cleanup_actor_ _cleanup_(actor_done)

/* Somebody who asks AWS: an instance with its role, or the administrator. */
typedef struct Actor {
        Imds *imds;
        Credentials *credentials;
        AwsClient *client;
} Actor;

extern json_t *world;

const char *in_world(const char *name);

const char *of(const char *instance, const char *name);

void actor_done(Actor *actor);

/* "master", "other", "node", or "admin". */
Actor make_actor(const char *name);

/* The control API's answer, or NULL (the case fails). */
json_t *control(const char *method, const char *path, const char *body);

void control_do(const char *method, const char *path, const char *body);

void fault(const char *body);

void no_faults(void);

/* How often an action ("ec2:AttachVolume") was asked for since calls_reset(). */
long long calls(const char *action);

void calls_reset(void);

#define CHECK_REFUSED(call, error, expected_class, expected_code, text) \
        do {                                                            \
                (error) = (Error) {};                                   \
                CHECK((call) < 0);                                      \
                CHECK_STR(error_class_to_string((error).class),         \
                          error_class_to_string(expected_class));       \
                CHECK_STR((error).aws_code, expected_code);             \
                CHECK_CONTAINS((error).message, text);                  \
        } while (0)
