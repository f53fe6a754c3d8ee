/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/file.h"
#include "base/string.h"
#include "steps/boot.h"

/* Manifests of the AMI are templates (render_template()), filled with what this machine and its
 * cluster are: NAME.yaml of a folder becomes NAME.yaml of another. */

#define MANIFESTS_MAX      128
#define MANIFEST_BYTES_MAX ((size_t) 1 << 20)

typedef struct Manifest {
        char *name;
        Buffer text;
} Manifest;

typedef struct Manifests {
        Manifest items[MANIFESTS_MAX]; /* in the order of their names, folder by folder */
        size_t n;
} Manifests;

void manifests_done(Manifests *manifests);
#define _cleanup_manifests_ _cleanup_(manifests_done)

typedef enum ManifestsLack {
        MANIFESTS_LACK_NOTHING, /* an image that the images list has not is an error */
        MANIFESTS_LACK_IMAGES,  /* what needs such an image is left out, with a warning */
} ManifestsLack;

/* Appends every NAME.yaml of the folder, filled. A folder that is not there, what cannot be filled,
 * and a name that another folder had already are ERROR_CONFIG, with the path. */
int manifests_render(const Boot *boot, StepContext *context, const char *folder, ManifestsLack lack,
                     Manifests *ret, Error *err);

/* Whether the folder holds these, and no others: 1 or 0. Names that begin with a dot do not count,
 * as for kubelet. */
int manifests_are_installed(const Manifests *manifests, const char *folder,
                            char ret_how[FILE_DIFFERENCE_MAX], Error *err);

/* Makes it so, each file atomically; what is the same already is not touched. */
int manifests_install(const Manifests *manifests, const char *folder, Error *err);
