/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/services/dockerd_start.h"
#include "steps/services/service.h"

/* docker-bootstrap: the second docker, which runs what docker itself depends on. */

int docker_bootstrap_probe(void *userdata, StepContext *context, Error *err)
{
        (void) userdata;
        int r = service_is_active(UNIT_DOCKER_BOOTSTRAP, context, NULL, err);
        if (r <= 0) {
                return r;
        }
        r = docker_ping(DOCKER_BOOTSTRAP_SOCKET, step_wait(context), err);
        if (r == 0) {
                step_not_yet(context,
                             "docker-bootstrap does not answer at " DOCKER_BOOTSTRAP_SOCKET);
        }
        return r;
}

int docker_bootstrap_apply(void *userdata, StepContext *context, Error *err)
{
        return dockerd_start(userdata, DOCKERD_BOOTSTRAP, service_start, context, err);
}
