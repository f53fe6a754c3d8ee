/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* Checks of dockerd's configuration file and of its log lines. Pure.
 * https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file */

typedef enum Dockerd {
        DOCKERD,           /* of docker.service with our drop-in */
        DOCKERD_BOOTSTRAP, /* of docker-bootstrap.service */
        _DOCKERD_MAX,
} Dockerd;

#define DOCKERD_ROOT_MAX 256

/* Checks the text of a dockerd's daemon.json. dockerd does not start if a key of the file is also
 * given as a flag: such keys are ERROR_CONFIG, and the message names them. Text that is not a JSON
 * object is ERROR_CONFIG too. *ret_root is set to the folder of dockerd's data if the file names
 * it. */
int dockerd_check_config(Dockerd dockerd, const char *text, char ret_root[DOCKERD_ROOT_MAX],
                         Error *err);

/* Returns true if a failed dockerd's log line names its database of networks as the reason. */
bool dockerd_blames_networks(const char *line);

/* Returns true if the flag, "--mtu", is one of those that dockerd_check_config() knows of. */
bool dockerd_has_flag(Dockerd dockerd, const char *flag);
