/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/file.h"
#include "base/string.h"
#include "steps/boot.h"

/* The AMI's manifests are templates (render_template()). They are filled in with facts of this
 * machine and its cluster: NAME.yaml of one folder becomes NAME.yaml of another. */

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
        MANIFESTS_LACK_NOTHING, /* an image that is not in the images list is an error */
        MANIFESTS_LACK_IMAGES,  /* a manifest without its image is left out, with a warning */
} ManifestsLack;

/* Appends every NAME.yaml of the folder, filled in. A missing folder, a template that cannot be
 * filled in and a name that another folder had already are ERROR_CONFIG, with the path. */
int manifests_render(const Boot *boot, StepContext *context, const char *folder, ManifestsLack lack,
                     Manifests *ret, Error *err);

/* Returns 1 if the folder holds these manifests and no other files, else 0. Names that begin with a
 * dot do not count, as for kubelet. */
int manifests_are_installed(const Manifests *manifests, const char *folder,
                            char ret_how[FILE_DIFFERENCE_MAX], Error *err);

/* Makes the folder hold these manifests and no other files. Each file is written atomically; a file
 * that is the same already is not touched. */
int manifests_install(const Manifests *manifests, const char *folder, Error *err);
