/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* The file that dockerd reads, and the words that it says. Pure.
 * https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file */

typedef enum Dockerd {
        DOCKERD,           /* of docker.service with our drop-in */
        DOCKERD_BOOTSTRAP, /* of docker-bootstrap.service */
        _DOCKERD_MAX,
} Dockerd;

#define DOCKERD_ROOT_MAX 256

/* Reads the text of its daemon.json. dockerd does not start where a key of the file is also given
 * as a flag: such keys, and what is no JSON, are ERROR_CONFIG and named. *ret_root is where it
 * keeps its data; untouched where the file does not say. */
int dockerd_check_config(Dockerd dockerd, const char *text, char ret_root[DOCKERD_ROOT_MAX],
                         Error *err);

/* Returns true for a line of a dockerd that ends, if its database of networks is the reason. */
bool dockerd_blames_networks(const char *line);

/* Returns true if the flag, "--mtu", is one of those that dockerd_check_config() knows of. */
bool dockerd_has_flag(Dockerd dockerd, const char *flag);
