/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The simulated region that test/integration/aws.py has started: what is in it, and its control
 * API, by which a test makes calls fail. */

#include <jansson.h>
#include <stdlib.h>

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

static json_t *world;

static inline const char *in_world(const char *name)
{
        const char *s = json_string_value(json_object_get(world, name));
        if (!s) {
                printf("# the world has no %s\n", name);
                exit(EXIT_FAILURE);
        }
        return s;
}

static inline const char *of(const char *instance, const char *name)
{
        const char *s = json_string_value(json_object_get(json_object_get(world, instance), name));
        if (!s) {
                printf("# the world has no %s of %s\n", name, instance);
                exit(EXIT_FAILURE);
        }
        return s;
}

static inline void actor_done(Actor *actor)
{
        aws_client_free(actor->client);
        credentials_free(actor->credentials);
        imds_free(actor->imds);
}

/* "master", "other", "node", or "admin". */
static inline Actor make_actor(const char *name)
{
        Actor a = {};
        Error err = {};
        int r = streq(name, "admin")
                        ? credentials_new_static(in_world("admin_key"), in_world("admin_secret"),
                                                 NULL, &a.credentials, &err)
                        : imds_new(of(name, "imds"), &a.imds, &err);
        r = r < 0 || !a.imds ? r : credentials_new_imds(a.imds, &a.credentials, &err);
        r = r < 0 ? r
                  : aws_client_new(a.credentials, in_world("region"), "amazonaws.com", &a.client,
                                   &err);
        if (r < 0) {
                printf("# %s\n", err.message);
                exit(EXIT_FAILURE);
        }
        return a;
}

/* The control API's answer, or NULL (the case fails). */
static inline json_t *control(const char *method, const char *path, const char *body)
{
        char url[256];
        Wait wait = test_patience();
        Error err = {};
        _cleanup_http_reply_ HttpReply reply = {};
        (void) snprintf(url, sizeof(url), "%s%s", in_world("control"), path);
        const HttpRequest request = {
                .method = method, .url = url, .body = body, .body_size = body ? strlen(body) : 0
        };
        if (http_exchange(&request, &wait, &reply, &err) < 0 || reply.status != 200) {
                test_fail(__FILE__, __LINE__, "%s %s: %d %s%s", method, path, reply.status,
                          err.message, reply.body.data ? reply.body.data : "");
                return NULL;
        }
        return json_loads(reply.body.data, JSON_DECODE_ANY, NULL);
}

static inline void control_do(const char *method, const char *path, const char *body)
{
        json_decref(control(method, path, body));
}

static inline void fault(const char *body)
{
        control_do("POST", "/faults", body);
}

static inline void no_faults(void)
{
        control_do("DELETE", "/faults", NULL);
}

/* How often an action ("ec2:AttachVolume") was asked for since calls_reset(). */
static inline long long calls(const char *action)
{
        json_auto_t *summary = control("GET", "/calls", NULL);
        return json_integer_value(json_object_get(
                json_object_get(json_object_get(summary, "by_action"), action), "count"));
}

static inline void calls_reset(void)
{
        control_do("POST", "/calls/reset", NULL);
}

#define CHECK_REFUSED(call, error, expected_class, expected_code, text) \
        do {                                                            \
                (error) = (Error) {};                                   \
                CHECK((call) < 0);                                      \
                CHECK_STR(error_class_to_string((error).class),         \
                          error_class_to_string(expected_class));       \
                CHECK_STR((error).aws_code, expected_code);             \
                CHECK_CONTAINS((error).message, text);                  \
        } while (0)
