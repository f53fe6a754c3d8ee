/* SPDX-License-Identifier: Apache-2.0 */
#include "ec2_world.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

ScriptedServer server;
Boot boot;
unsigned deadline_s;

char *ec2_reply(const char *format, ...)
{
        char *inner = NULL;
        va_list ap;
        va_start(ap, format);
        int n = vasprintf(&inner, format, ap);
        va_end(ap);
        _cleanup_free_ char *body =
                n < 0 ? NULL
                      : string_format("<Response><requestId>r</requestId>%s</Response>", inner);
        free(inner);
        if (!body) {
                abort();
        }
        return make_reply("200 OK", "Content-Type: text/xml\r\n", body);
}

char *ec2_error(const char *status, const char *code, const char *message)
{
        _cleanup_free_ char *body = string_format(
                "<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors>"
                "<RequestID>r-1</RequestID></Response>",
                code, message);
        return make_reply(status, "Content-Type: text/xml\r\n", body);
}

char *sts_reply(const char *request, const char *role)
{
        const char *mark = "Credential=ASIA", *key = strstr(request, mark);
        char id[32] = "";
        for (size_t i = 0;
             key && i < sizeof(id) - 1 && isalnum((unsigned char) key[strlen(mark) + i]); i++) {
                id[i] = (char) tolower((unsigned char) key[strlen(mark) + i]);
        }
        if (!*id || streq(id, "bad")) {
                return make_reply("403 Forbidden", "Content-Type: text/xml\r\n",
                                  "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code>"
                                  "<Message>m</Message></Error></ErrorResponse>");
        }
        _cleanup_free_ char *body = string_format(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::"
                "123456789012:"
                "assumed-role/%s/i-%s</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>",
                role, id);
        return make_reply("200 OK", "Content-Type: text/xml\r\n", body);
}

bool is_action(const char *request, const char *action)
{
        char text[64];
        (void) snprintf(text, sizeof(text), "Action=%s&", action);
        return strstr(request, text) != NULL;
}

unsigned count_action(const char *action)
{
        unsigned n = 0;
        for (unsigned i = 0; i < server_count(&server); i++) {
                n += is_action(server_request(&server, i), action);
        }
        return n;
}

void start_world(void)
{
        static char url[64];
        static Credentials *credentials;
        Error err = {};
        server_start(&server);
        deadline_s = test_patience_s();
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        (void) setenv("AWS_ENDPOINT_URL_EC2", url, 1);
        (void) setenv("AWS_ENDPOINT_URL_STS", url, 1);
        if (http_init(&err) < 0 ||
            credentials_new_static("AKIDEXAMPLE", "secret", NULL, &credentials, &err) < 0 ||
            aws_client_new(credentials, "us-east-1", NULL, &boot.aws, &err) < 0) {
                (void) fprintf(stderr, "%s\n", err.message);
                exit(EXIT_FAILURE);
        }
        boot.credentials = credentials;
        (void) snprintf(boot.identity.instance_id, sizeof(boot.identity.instance_id), INSTANCE);
        (void) snprintf(boot.identity.zone, sizeof(boot.identity.zone), ZONE);
        (void) snprintf(boot.account, sizeof(boot.account), "123456789012");
        (void) snprintf(boot.identity.region, sizeof(boot.identity.region), "us-east-1");
}

static unsigned all_known(void *userdata)
{
        (void) userdata;
        return KIND_DOCKER_MASTER;
}

int run_rows(const Step *steps, size_t n_steps, MachineMode mode, MachineStatus *ret_status,
             Error *err)
{
        *ret_status = (MachineStatus) {};
        *err = (Error) {};
        return machine_run(&(MachineOptions) { .steps = steps,
                                               .n_steps = n_steps,
                                               .userdata = &boot,
                                               .kind = all_known,
                                               .all_kinds = KIND_ALL,
                                               .mode = mode,
                                               .stop_fd = -1 },
                           ret_status, err);
}

int run_step(StepFunction *probe, StepFunction *apply, MachineMode mode, StepStatus *ret_status,
             Error *err)
{
        const Step step = {
                .name = "step",
                .makes_true = "what the test is about",
                .runs_on = KIND_MASTER,
                .probe = probe,
                .apply = apply,
                .retry = { .first_ms = 50, .max_ms = 200 },
                .deadline_s = deadline_s,
        };
        MachineStatus status;
        int r = run_rows(&step, 1, mode, &status, err);
        *ret_status = status.steps[0];
        return r;
}
