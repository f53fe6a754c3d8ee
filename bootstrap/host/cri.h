/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/wait.h"

/* A client for containerd over its socket: the calls of the Container Runtime Interface, version 1,
 * that only read. kubelet speaks the same interface to it. containerd has it since 1.6.
 * https://github.com/kubernetes/cri-api/blob/v0.37.2/pkg/apis/runtime/v1/api.proto
 *
 * Errors: ERROR_RETRY while nobody listens at the socket (-ENOENT, -ECONNREFUSED) or containerd is
 * not ready to answer; ERROR_CONFIG if this containerd does not speak the interface
 * (-EOPNOTSUPP). */

#define CRI_SOCKET "/run/containerd/containerd.sock"

#define CRI_TEXT_MAX     256
#define CRI_BIN_DIRS_MAX 4

/* Something that the runtime says of itself. */
typedef struct CriCondition {
        bool is_true; /* false also if the runtime does not name the condition */
        char reason[64];
        char message[CRI_TEXT_MAX]; /* reason and message are for people, and may be cut */
} CriCondition;

typedef struct CriStatus {
        CriCondition runtime_ready, network_ready;
        char cgroup_driver[16];           /* of the default runtime: "systemd" or "cgroupfs" */
        char sandbox_image[CRI_TEXT_MAX]; /* "": not told, as by containerd from 2.0 on */
        char cni_bin_dirs[CRI_BIN_DIRS_MAX][CRI_TEXT_MAX]; /* in the order of their search */
        size_t n_cni_bin_dirs;
        char cni_conf_dir[CRI_TEXT_MAX];
} CriStatus;

/* Asks for the state of the runtime and its network, and for the configuration that containerd runs
 * with. */
int cri_status(const char *socket, const Wait *wait, CriStatus *ret, Error *err);

typedef struct CriVersion {
        char name[64]; /* "containerd" */
        char version[64];
} CriVersion;

/* Asks for the name and the version of the runtime. */
int cri_version(const char *socket, const Wait *wait, CriVersion *ret, Error *err);

typedef struct CriImage {
        char id[128];   /* the digest of its configuration: "sha256:..." */
        bool is_pinned; /* kubelet does not collect it. containerd says so from 1.7 on */
} CriImage;

/* Looks an image up by its full name (with registry and tag) or by its id. Returns 1 and the image,
 * or 0 if it is not in the store. A name that is empty or too long is ERROR_CONFIG. */
int cri_image_id(const char *socket, const char *image, const Wait *wait, CriImage *ret,
                 Error *err);
