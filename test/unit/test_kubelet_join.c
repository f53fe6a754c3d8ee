/* SPDX-License-Identifier: Apache-2.0 */
/* When kubelet is restarted so that it registers its Node. systemd and the API server are the
 * test's. */
#include <errno.h>

#include "base/time.h"
#include "ec2_world.h"
#include "steps/api.h"
#include "steps/services/service.h"

static struct {
        time_t since;      /* when kubelet became active; 0: it is not */
        unsigned restarts; /* of kubelet */
        unsigned looks;    /* for the Node */
        unsigned appears;  /* at which look the Node is there; 0: after a restart */
        time_t reported;   /* when kubelet reported last; 0: never */
        bool is_denied;
} scene;

const StepRetry service_looks = { .first_ms = 1, .max_ms = 1 };

int service_is_active(const char *unit, StepContext *context, struct timespec *ret_since,
                      Error *err)
{
        (void) context;
        (void) err;
        CHECK_STR(unit, UNIT_KUBELET);
        *ret_since = (struct timespec) { .tv_sec = scene.since };
        return scene.since != 0;
}

int service_restart(const char *unit, StepContext *context, Error *err)
{
        (void) context;
        (void) err;
        CHECK_STR(unit, UNIT_KUBELET);
        scene.restarts++;
        scene.since = scene.reported = time(NULL) + 1; /* systemd's time has fractions */
        return 0;
}

int api_open(const Boot *open_boot, KubeApi **ret, Error *err)
{
        (void) open_boot;
        (void) err;
        *ret = NULL;
        return 0;
}

int api_get_node(const Boot *of_boot, KubeApi *api, StepContext *context, json_t **ret, Error *err)
{
        (void) of_boot;
        (void) api;
        (void) context;
        char reported[TIME_TEXT_MAX];
        scene.looks++;
        if (scene.is_denied) {
                return error_set(err, ERROR_DENIED, EACCES, "no");
        }
        if (scene.appears ? scene.looks < scene.appears : scene.restarts == 0) {
                return 0;
        }
        time_format(scene.reported, reported);
        *ret = json_pack("{s:{s:[{s:s, s:s}, {s:s, s:s}]}}", "status", "conditions", "type",
                         "MemoryPressure", "lastHeartbeatTime", "2099-01-01T00:00:00Z", "type",
                         "Ready", "lastHeartbeatTime", reported);
        return 1;
}

/* Runs the step; returns the result of the run. */
static int join(StepStatus *ret, Error *err)
{
        return run_step(kubelet_join_probe, kubelet_join_apply, MACHINE_CONVERGE, ret, err);
}

static void begin(time_t age_s, unsigned appears, time_t report_age_s, time_t api_age_s)
{
        time_t now = time(NULL);
        memset(&scene, 0, sizeof(scene));
        scene.since = now - age_s;
        scene.appears = appears;
        scene.reported = now - report_age_s;
        boot.api_since = api_age_s < 0 ? 0 : now - api_age_s;
}

typedef struct JoinCase {
        const char *what;
        time_t age_s; /* of kubelet */
        unsigned appears;
        time_t report_age_s,
                api_age_s; /* of its last report; of the ready API server, -1: unknown */
        unsigned restarts, attempts;
        const char *warning;
} JoinCase;

static const JoinCase join_cases[] = {
        { "a node that has joined", 1000, 1, 5, -1, 0, 0, "" },
        { "a kubelet that registers", 5, 4, 0, -1, 0, 1, "" },
        { "a Node that was deleted", 1000, 0, 5, -1, 1, 1, "has not registered Node" },
        { "a master's Node that was deleted", 1000, 0, 5, 10, 1, 1, "has not registered Node" },
        { "a master whose kubelet has reported", 20, 1, 5, 10, 0, 0, "" },
        { "a master rebooted: the Node is of before", 20, 1, 500, 10, 1, 1, "" },
        { "a new master", 20, 0, 500, 10, 1, 1, "" },
        { "a daemon that was started again", 1000, 1, 5, 0, 0, 0, "" },
};

static void test_joins(void)
{
        FOREACH_ARRAY(c, join_cases, ELEMENTS(join_cases)) {
                StepStatus status;
                Error err = {};
                begin(c->age_s, c->appears, c->report_age_s, c->api_age_s);
                int r = join(&status, &err);
                if (r < 0 || scene.restarts != c->restarts || status.attempts != c->attempts) {
                        test_fail(__FILE__, __LINE__, "%s: %d (%s), %u restarts, %u attempts",
                                  c->what, r, err.message, scene.restarts, status.attempts);
                }
                CHECK_CONTAINS(status.warning, c->warning);
        }
}

/* A new cluster makes its roles a little later than its API server is ready. */
static void test_denied(void)
{
        StepStatus status;
        Error err = {};
        begin(1000, 1, 5, -1);
        scene.is_denied = true;
        deadline_s = 1;
        CHECK(join(&status, &err) < 0);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_INT(scene.restarts, 0);
}

int main(void)
{
        (void) snprintf(boot.node_name, sizeof(boot.node_name), "ip-1.ec2.internal");
        test_case("kubelet-join: when kubelet is restarted", test_joins);
        test_case("kubelet-join: a denial passes", test_denied);
        return test_done();
}
