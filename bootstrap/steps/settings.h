/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cluster/lineage.h"
#include "cluster/settings.h"
#include "steps/boot.h"

/* Settings of stack-config.sh that apply at a cluster's creation only. */

ClusterSettings settings_of(const StackConfig *config);

/* Refuses a value that is not the recorded one (ERROR_CONFIG): names file, line, key and both.
 * `where` says where it is recorded. */
int settings_check(const StackConfig *config, const ClusterSettings *recorded, const char *where,
                   Error *err);

/* Refuses settings that are not those of the volume's cluster, once that was made with them. */
int settings_check_volume(const StackConfig *config, const LineageScene *scene, Error *err);

/* Warns of each setting whose name or address the API server's certificate in use lacks. */
int settings_warn_of_names(const StackConfig *config, StepContext *context, Error *err);

/* The same for the Elastic IP, which EC2 knows. */
int settings_warn_of_address(StepContext *context, const char *public_ip, Error *err);

/* Refuses a service network or domain that the certificate in use was not made with: all that an
 * identity without them leaves to compare. */
int settings_check_certificate(const StackConfig *config, Error *err);

/* The overlay's settings, where the volume's identity is from before they were recorded: refuses
 * others than those of flannel's configuration in etcd. 1 if they are recorded, 0 if they are still
 * to be. */
int settings_check_overlay(const StackConfig *config, const char *in_etcd, Error *err);

/* Does as settings_check_overlay(), and records them. Returns 0 once they are recorded. */
int settings_record_overlay(const StackConfig *config, const char *in_etcd, Error *err);
