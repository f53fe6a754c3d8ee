/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cluster/lineage.h"
#include "cluster/settings.h"
#include "steps/boot.h"

/* Settings of stack-config.sh that apply at a cluster's creation only. */

ClusterSettings settings_of(const StackConfig *config);

/* Refuses each value that is not the recorded one (ERROR_CONFIG). The message names file, line, key
 * and both values; `where` says where the value is recorded. */
int settings_check(const StackConfig *config, const ClusterSettings *recorded, const char *where,
                   Error *err);

/* Refuses settings that differ from those of the volume's cluster, once certificates or etcd's data
 * were made with them. */
int settings_check_volume(const StackConfig *config, const LineageScene *scene, Error *err);

/* Warns of each setting whose name or address the API server's certificate in use lacks. */
int settings_warn_of_names(const StackConfig *config, StepContext *context, Error *err);

/* Does the same for the Elastic IP, whose address EC2 knows. */
int settings_warn_of_address(StepContext *context, const char *public_ip, Error *err);

/* Refuses a service network or domain that the certificate in use was not made with. If the
 * volume's identity does not record these two, only the certificate is left to compare with. */
int settings_check_certificate(const StackConfig *config, Error *err);

/* Checks the overlay's settings if the volume's identity is from before they were recorded: refuses
 * settings other than those of flannel's configuration in etcd. Returns 1 if they are recorded (or
 * the volume has no identity), 0 if they must still be recorded. */
int settings_check_overlay(const StackConfig *config, const char *in_etcd, Error *err);

/* Does as settings_check_overlay(), and records them. Returns 0 once they are recorded. */
int settings_record_overlay(const StackConfig *config, const char *in_etcd, Error *err);
