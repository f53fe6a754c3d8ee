/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The messages of CRI's replies: pure functions over outside bytes. Each fills *ret, or fails with
 * -EBADMSG (ERROR_RETRY) if the bytes are no such message; *ret is untouched then. */

#include "base/protobuf.h"
#include "host/cri.h"

/* Reads a StatusResponse. A configuration with a path that is too long is ERROR_CONFIG. */
int cri_parse_status(ProtobufBytes message, CriStatus *ret, Error *err);

/* Reads a VersionResponse. */
int cri_parse_version(ProtobufBytes message, CriVersion *ret, Error *err);

/* Reads an ImageStatusResponse. Returns 1, or 0 if it has no image. */
int cri_parse_image(ProtobufBytes message, CriImage *ret, Error *err);
