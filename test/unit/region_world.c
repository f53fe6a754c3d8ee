/* SPDX-License-Identifier: Apache-2.0 */
#include "region_world.h"

#include <stdlib.h>

json_t *world;

const char *in_world(const char *name)
{
        const char *s = json_string_value(json_object_get(world, name));
        if (!s) {
                printf("# the world has no %s\n", name);
                exit(EXIT_FAILURE);
        }
        return s;
}

const char *of(const char *instance, const char *name)
{
        const char *s = json_string_value(json_object_get(json_object_get(world, instance), name));
        if (!s) {
                printf("# the world has no %s of %s\n", name, instance);
                exit(EXIT_FAILURE);
        }
        return s;
}

void actor_done(Actor *actor)
{
        aws_client_free(actor->client);
        credentials_free(actor->credentials);
        imds_free(actor->imds);
}

Actor make_actor(const char *name)
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

json_t *control(const char *method, const char *path, const char *body)
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

void control_do(const char *method, const char *path, const char *body)
{
        json_decref(control(method, path, body));
}

void fault(const char *body)
{
        control_do("POST", "/faults", body);
}

void no_faults(void)
{
        control_do("DELETE", "/faults", NULL);
}

long long calls(const char *action)
{
        json_auto_t *summary = control("GET", "/calls", NULL);
        return json_integer_value(json_object_get(
                json_object_get(json_object_get(summary, "by_action"), action), "count"));
}

void calls_reset(void)
{
        control_do("POST", "/calls/reset", NULL);
}
