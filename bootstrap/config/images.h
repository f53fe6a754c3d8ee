/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/container_runtime.h"
#include "base/error.h"

#define IMAGES_PATH "/etc/kubernetes/images"

/* The images list baked into the AMI: its container runtime, and container images by name, "" where
 * the list has none. */
typedef struct Images {
        ContainerRuntime runtime; /* docker if the list names none, as lists from before it did */
        char *etcd;
        char *flannel;
        char *pause;
        char *apiserver;
        char *controller_manager;
        char *scheduler;
        char *proxy;
        char *coredns;
} Images;

/* One row of THE table of its keys. */
typedef struct ImageKey {
        const char *name;
        unsigned required_by; /* mask of roles; 0: optional */
        size_t offset;        /* in Images */
} ImageKey;

extern const ImageKey image_keys[];
extern const size_t image_n_keys;

const char *images_get(const Images *images, const ImageKey *key);

/* Reads the list. Returns 0, or ERROR_CONFIG: an unknown container runtime, or one message that
 * names every missing key that this role (stack_config.h) requires. Other keys are ignored: the AMI
 * may carry more. */
int images_load(const char *path, unsigned role, Images *ret, Error *err);
void images_done(Images *images);
#define _cleanup_images_ _cleanup_(images_done)
