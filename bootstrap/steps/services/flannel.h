/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The overlay's keys in etcd.
 * https://github.com/flannel-io/flannel/blob/master/Documentation/configuration.md */

#define OVERLAY_PREFIX  "/coreos.com/network"
#define OVERLAY_CONFIG  OVERLAY_PREFIX "/config"
#define OVERLAY_SUBNETS OVERLAY_PREFIX "/subnets/"
#define OVERLAY_READER  "overlay-reader" /* an etcd user that may read them */
