/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The steps of the resident daemon under test: fakes in a table whose rows are looked at again
 * after REPROBE_S, which the program that includes this defines. */

#include "cli_world.h"

/* The table's rows in short. */
#define ROW(id, text, function, wants)      \
        [id] = { .name = text,              \
                 .makes_true = text,        \
                 .runs_on = KIND_ALL,       \
                 .needs = wants,            \
                 .probe = function##_probe, \
                 .apply = function##_apply, \
                 .retry = { 2, 8 },         \
                 .reprobe_s = REPROBE_S }
#define AFTER(id) STEP_MASK(BOOT_##id)

const Step boot_steps[_BOOT_STEP_MAX] = {
        [BOOT_CONFIG] = { .name = "config",
                          .makes_true = "x",
                          .runs_on = KIND_ALL,
                          .probe = config_probe },
        [BOOT_IDENTITY] = { .name = "identity",
                            .makes_true = "x",
                            .runs_on = KIND_ALL,
                            .needs = AFTER(CONFIG),
                            .probe = identity_probe },
        [BOOT_SOURCE_DEST_CHECK] = { .name = "source-dest-check",
                                     .makes_true = "x",
                                     .runs_on = KIND_ALL,
                                     .needs = AFTER(IDENTITY),
                                     .probe = source_dest_check_probe,
                                     .apply = source_dest_check_apply,
                                     .retry = { 2, 8 },
                                     .reprobe_s = 900,
                                     .denial_is_warning = true },
        ROW(BOOT_VOLUME_ATTACH, "volume-attach", volume_attach, AFTER(IDENTITY)),
        ROW(BOOT_VOLUME_FORMAT, "volume-format", volume_format, AFTER(VOLUME_ATTACH)),
        ROW(BOOT_VOLUME_MOUNT, "volume-mount", volume_mount, AFTER(VOLUME_FORMAT)),
        ROW(BOOT_ELASTIC_IP, "elastic-ip", elastic_ip, AFTER(IDENTITY)),
        ROW(BOOT_PRIVATE_IP, "private-ip", private_ip, AFTER(IDENTITY)),
        ROW(BOOT_SECRETS, "secrets", secrets, AFTER(IDENTITY)),
        ROW(BOOT_DOCKER_BOOTSTRAP, "docker-bootstrap", docker_bootstrap, AFTER(IDENTITY)),
        ROW(BOOT_ETCD, "etcd", etcd, AFTER(DOCKER_BOOTSTRAP)),
        ROW(BOOT_FLANNEL_CONFIG, "flannel-config", flannel_config, AFTER(ETCD)),
        ROW(BOOT_FLANNELD, "flanneld", flanneld, AFTER(FLANNEL_CONFIG)),
        ROW(BOOT_DOCKER, "docker", docker, AFTER(FLANNELD)),
        ROW(BOOT_KUBELET_CONFIG, "kubelet-config", kubelet_config, AFTER(IDENTITY)),
        ROW(BOOT_KUBELET_CERTIFICATE, "kubelet-certificate", kubelet_certificate, AFTER(IDENTITY)),
        ROW(BOOT_STATIC_PODS, "static-pods", static_pods, AFTER(IDENTITY)),
        ROW(BOOT_KUBELET, "kubelet", kubelet, AFTER(DOCKER)),
        ROW(BOOT_ROLES, "roles", roles, AFTER(KUBELET)),
        ROW(BOOT_KUBELET_JOIN, "kubelet-join", kubelet_join, AFTER(KUBELET)),
        ROW(BOOT_ADDONS, "addons", addons, AFTER(ROLES)),
        ROW(BOOT_JOIN_TOKEN, "join-token", join_token, AFTER(ROLES)),
        ROW(BOOT_NODES, "nodes", nodes, AFTER(JOIN_TOKEN)),
        [BOOT_READY] = { .name = "ready",
                         .makes_true = "x",
                         .runs_on = KIND_ALL,
                         .needs = AFTER(ADDONS) | AFTER(NODES),
                         .probe = ready_probe },
};
