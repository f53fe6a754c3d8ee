/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The steps of the resident daemon under test: fakes in a table whose rows are looked at again
 * after REPROBE_S, which the program that includes this defines. */

#include "cli_world.h"

/* The table's rows in short. */
#define ROW(id, text, function, wants)      \
        [id] = { .name = text,              \
                 .makes_true = text,        \
                 .roles = ROLE_ALL,         \
                 .needs = wants,            \
                 .probe = function##_probe, \
                 .apply = function##_apply, \
                 .retry = { 2, 8 },         \
                 .reprobe_s = REPROBE_S }
#define AFTER(id) STEP_MASK(STEP_##id)

const Step boot_steps[_STEP_ID_MAX] = {
        [STEP_CONFIG] = { .name = "config",
                          .makes_true = "x",
                          .roles = ROLE_ALL,
                          .probe = config_probe },
        [STEP_IDENTITY] = { .name = "identity",
                            .makes_true = "x",
                            .roles = ROLE_ALL,
                            .needs = AFTER(CONFIG),
                            .probe = identity_probe },
        [STEP_SOURCE_DEST_CHECK] = { .name = "source-dest-check",
                                     .makes_true = "x",
                                     .roles = ROLE_ALL,
                                     .needs = AFTER(IDENTITY),
                                     .probe = source_dest_check_probe,
                                     .apply = source_dest_check_apply,
                                     .retry = { 2, 8 },
                                     .reprobe_s = 900,
                                     .denial_is_warning = true },
        ROW(STEP_VOLUME_ATTACH, "volume-attach", volume_attach, AFTER(IDENTITY)),
        ROW(STEP_VOLUME_FORMAT, "volume-format", volume_format, AFTER(VOLUME_ATTACH)),
        ROW(STEP_VOLUME_MOUNT, "volume-mount", volume_mount, AFTER(VOLUME_FORMAT)),
        ROW(STEP_ELASTIC_IP, "elastic-ip", elastic_ip, AFTER(IDENTITY)),
        ROW(STEP_PRIVATE_IP, "private-ip", private_ip, AFTER(IDENTITY)),
        ROW(STEP_SECRETS, "secrets", secrets, AFTER(IDENTITY)),
        ROW(STEP_DOCKER_BOOTSTRAP, "docker-bootstrap", docker_bootstrap, AFTER(IDENTITY)),
        ROW(STEP_ETCD, "etcd", etcd, AFTER(DOCKER_BOOTSTRAP)),
        ROW(STEP_FLANNEL_CONFIG, "flannel-config", flannel_config, AFTER(ETCD)),
        ROW(STEP_FLANNELD, "flanneld", flanneld, AFTER(FLANNEL_CONFIG)),
        ROW(STEP_DOCKER, "docker", docker, AFTER(FLANNELD)),
        ROW(STEP_KUBELET_CONFIG, "kubelet-config", kubelet_config, AFTER(IDENTITY)),
        ROW(STEP_STATIC_PODS, "static-pods", static_pods, AFTER(IDENTITY)),
        ROW(STEP_KUBELET, "kubelet", kubelet, AFTER(DOCKER)),
        ROW(STEP_KUBELET_JOIN, "kubelet-join", kubelet_join, AFTER(KUBELET)),
        ROW(STEP_ADDONS, "addons", addons, AFTER(KUBELET)),
        ROW(STEP_JOIN_TOKEN, "join-token", join_token, AFTER(ADDONS)),
        ROW(STEP_NODES, "nodes", nodes, AFTER(JOIN_TOKEN)),
        [STEP_READY] = { .name = "ready",
                         .makes_true = "x",
                         .roles = ROLE_ALL,
                         .needs = AFTER(NODES),
                         .probe = ready_probe },
};
