/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A master's instance metadata, told by the server of ec2_world.h. The machine has two network
 * cards; IMDS lists the second one, ENI, as the primary. */

#include "ec2_world.h"

#define CARD      "eni-0fedcba9876543210"
#define MACS      "meta-data/network/interfaces/macs/"
#define CARDS_MAC MACS "0a:00:00:00:00:01/"
#define ENIS_MAC  MACS "0a:00:00:00:00:02/"

/* Starts a world whose server is IMDS and S3 as well, and configures the boot as a master's. */
void start_world_with_imds(void);

/* Releases what such a boot has made. */
void end_world_with_imds(void);

/* The answer to a request to IMDS, NULL for any other. */
char *imds_answer(const char *request);

/* The answer if the request asks for that path, else NULL. */
char *imds_answer_path(const char *request, const char *path, const char *value);
