/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "host/http.h"
#include "host/journal.h"
#include "steps/kubelet/join.h"
#include "steps/services/service.h"

/* kubelet: its unit runs with the files as they are now. */

#define KUBELET_HEALTHZ "http://127.0.0.1:10248/healthz"

#define HEALTHY_S 60 /* the time that a start of kubelet may take */

/* Returns 1 if kubelet says ok; 0 if it says something else or nothing, or nobody listens. */
static int kubelet_answers(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        _cleanup_http_reply_ HttpReply reply = {};
        HttpRequest request = {
                .method = "GET", .url = KUBELET_HEALTHZ, .timeout_ms = 5000, .reply_max = 4096
        };
        int r = http_exchange(&request, step_wait(context), &reply, err);
        if (r < 0 && r != -ECONNREFUSED && r != -ETIMEDOUT) {
                return r;
        }
        if (r < 0 || reply.status != 200 || !streq(reply.body.data, "ok")) {
                service_not_yet(UNIT_KUBELET, "it does not say ok at " KUBELET_HEALTHZ, context);
                return 0;
        }
        return 1;
}

/* The files that kubelet reads when it starts. */
static const char *const kubelet_files[] = { KUBELET_CONFIG, KUBELET_ENVIRONMENT,
                                             KUBELET_KUBECONFIG };

/* Returns 1 if kubelet runs, and with the files as they are now; else 0. */
static int kubelet_is_current(StepContext *context, Error *err)
{
        struct timespec since;
        int r = service_is_active(UNIT_KUBELET, context, &since, err);
        if (r <= 0) {
                return r;
        }
        r = join_began_with_certificate(&since, err);
        if (r == 0) {
                step_not_yet(context, UNIT_KUBELET " is older than its certificate");
        }
        if (r <= 0) {
                return r;
        }
        FOREACH_ARRAY(file, kubelet_files, ELEMENTS(kubelet_files)) {
                r = service_is_older_than(&since, *file, err);
                if (r > 0) {
                        step_not_yet(context, UNIT_KUBELET " is older than %s", *file);
                        return 0;
                }
                if (r < 0) {
                        return r;
                }
        }
        return 1;
}

int kubelet_probe(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        int r = kubelet_is_current(context, err);
        if (r <= 0) {
                return r;
        }
        return kubelet_answers(NULL, context, err);
}

static int kubelet_restart(StepContext *context, Error *err)
{
        int r = join_clamp_certificate(err);
        FOREACH_ARRAY(file, kubelet_files, ELEMENTS(kubelet_files)) {
                if (r >= 0) {
                        r = file_clamp_time(*file, err);
                }
        }
        if (r < 0) {
                return r;
        }
        return service_restart(UNIT_KUBELET, context, err);
}

/* Returns 1 if a restart that systemd has just made brings kubelet up: another restart would not
 * help. Returns 0 if we must restart kubelet, also if it is healthy and --from forces a restart. */
static int kubelet_comes(StepContext *context, Error *err)
{
        int r = kubelet_is_current(context, err);
        if (r <= 0) {
                return r;
        }
        r = kubelet_answers(NULL, context, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        return step_await(context, kubelet_answers, NULL, service_looks, HEALTHY_S, err);
}

int kubelet_apply(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        int r = kubelet_comes(context, err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        r = kubelet_restart(context, err);
        if (r < 0) {
                return r;
        }
        r = step_await(context, kubelet_answers, NULL, service_looks, HEALTHY_S, err);
        if (r == 0) {
                (void) error_set(err, ERROR_RETRY, ETIMEDOUT, "kubelet is not healthy");
                return journal_explain(UNIT_KUBELET, err);
        }
        return r < 0 ? r : 0;
}
