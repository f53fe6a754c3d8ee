/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "cluster/document.h"

/* The settings that a cluster is made with and keeps: leases of the overlay, addresses of services
 * and names in certificates and pods all depend on them, and the container runtime decides where
 * the leases are. The volume's identity and the index record them. A setting is "" if it is not
 * recorded, as in documents from before these fields existed. The container runtime is recorded
 * unless it is docker, which was the only one before. */
typedef struct ClusterSettings {
        char overlay_network[20];
        char overlay_backend[16];
        char service_network[20];
        char cluster_domain[254];
        char container_runtime[16]; /* "": docker */
} ClusterSettings;

/* Rows for the table of a document whose structure has them as `member`. */
#define SETTINGS_FIELDS(type, member)                                                  \
        DOCUMENT_OPTIONAL_IN(type, member, overlay_network, DOCUMENT_NETWORK),         \
                DOCUMENT_OPTIONAL_IN(type, member, overlay_backend, DOCUMENT_LABEL),   \
                DOCUMENT_OPTIONAL_IN(type, member, service_network, DOCUMENT_NETWORK), \
                DOCUMENT_OPTIONAL_IN(type, member, cluster_domain, DOCUMENT_DOMAIN),   \
                DOCUMENT_OPTIONAL_IN(type, member, container_runtime, DOCUMENT_LABEL)

#define SETTINGS_MAX 5

/* A setting that differs from the recorded one. The pointers point into the compared structures. */
typedef struct SettingsDifference {
        const char *key; /* of stack-config.sh */
        const char *recorded, *given;
} SettingsDifference;

/* Compares the recorded settings, in the order of the structure. Returns how many differ. */
size_t settings_compare(const ClusterSettings *recorded, const ClusterSettings *given,
                        SettingsDifference ret[SETTINGS_MAX]);

/* Copies the given settings that are not recorded yet. Returns true if there was any. */
bool settings_complete(ClusterSettings *recorded, const ClusterSettings *given);
